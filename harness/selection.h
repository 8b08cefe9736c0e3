#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "cases/case.h"
#include "cases/matrix.h"

namespace attest {

/// What the command line says of the cases to run.
struct Selection {
  std::vector<std::string> sources = {};  ///< files (.yaml, .list) or case strings; empty: the gate
  std::vector<std::string> kernels = {};  ///< keep only these; empty: all
  std::vector<Backend> backends = {Backend::emu};
  std::string match = {};                  ///< regular expression that a case string must contain
  std::string shard = {};                  ///< "i/n", 1-based: the i-th part by hash of the case id
  std::optional<std::uint64_t> seed = {};  ///< replaces the seed of every problem
  std::optional<Schedule> schedule = {};   ///< replaces the emulator's schedule of every case
};

/// Reads the sources and applies overrides and filters. Cases keep their order; the result names
/// each case once. Throws attest::Error for a bad source, expression or shard.
std::vector<Case> select(const Selection&);

/// The blocks of the matrices that the sources name. Throws what select() throws.
std::vector<Block> blocks_of(const Selection&);

/// The cases of a shard "i/n", in their order; all of them where it is empty. Every case of a
/// problem is in the same one of n. Throws attest::Error for a bad shard.
std::vector<Case> pick_shard(const std::vector<Case>&, std::string_view shard);

/// The shard "j/n" that a problem is in, for the n of "i/n"; empty where that is.
std::string shard_like(std::string_view shard, const Problem&);

/// The expression of --match. Throws attest::Error for a bad one.
std::regex compile_match(const std::string& expression);

/// One entry per case and kernel that is to run it. A case without a kernel gets every kernel that
/// supports it (or, where none does, the first, so that the run reports why). Names each case once.
std::vector<Case> assign_kernels(const std::vector<Case>&, const Selection&);

/// Folder that holds ci/ and cases/: $ATTEST_HOME, or near the program. Throws attest::Error.
std::string home();

}  // namespace attest
