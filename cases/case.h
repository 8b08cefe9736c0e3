#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cases/problem.h"

namespace attest {

enum class Backend { emu, gpu };

std::string_view name(Backend);
Backend parse_backend(std::string_view);

/// Order in which the emulator runs warps and lanes. On a GPU the hardware decides.
///   0   the lowest warp runs as far ahead as it can (default)
///   1   the highest warp runs first, blocks in reverse order
///   n   n >= 2: random priorities, seeded with n
using Schedule = std::uint64_t;

/// How a problem is run. No part of the problem: ids and goldens do not depend on it.
struct RunConfig {
  std::string kernel;  ///< empty: every kernel that supports the problem
  Backend backend = Backend::emu;
  Index splits = 0;  ///< 0: the kernel chooses; only kernels that split the keys care
  Schedule schedule = 0;

  bool operator==(const RunConfig&) const = default;
};

/// A problem and how to run it: `<canonical problem> | kernel=decode backend=gpu splits=3
/// schedule=1`, where defaults are not printed (and nothing follows the problem when all are
/// defaults).
struct Case {
  Problem problem;
  RunConfig run;

  bool operator==(const Case&) const = default;
};

std::string print(const RunConfig&);
std::string print(const Case&);

/// Inverse of print(); key order is free. Throws attest::Error like parse_problem().
Case parse_case(std::string_view);

/// Keys and values of one side of a case string, in order; shared by the parsers of this folder.
/// `where` names the caller in error messages. Throws attest::Error unless every token is key=value
/// and no key repeats.
struct KeyValue {
  std::string key, value;
};
std::vector<KeyValue> parse_pairs(std::string_view where, std::string_view text);

/// A whole decimal number in [low, high]; throws attest::Error that names `where` and `key`.
std::int64_t parse_integer(std::string_view where, std::string_view key, std::string_view text,
                           std::int64_t low, std::int64_t high);

/// Lengths as print_lens() prints them, or `all` for none: every batch entry has Sk keys.
std::vector<Index> parse_lens(std::string_view where, std::string_view text);

/// Which of the members that have a derived default are given.
struct Given {
  bool G = false, Dv = false, Dn = false;
};

/// Sets those that are not: G = H in mha and expanded mla, 1 in mqa and absorbed mla; Dv = D, or
/// D - Dr in absorbed mla; Dn = D - Dr in expanded mla. Layers of mla have G = H, Dv = D and
/// Dn = D - Dr in either form.
void derive(Problem&, const Given&);

/// Sets one member of a case from its case-string key; the YAML loader and the parsers share it.
/// Throws attest::Error for an unknown key or a bad value. Does not validate the problem.
void set_key(Case&, std::string_view where, std::string_view key, std::string_view value);

}  // namespace attest
