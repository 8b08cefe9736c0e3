#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cases/case.h"
#include "cases/descriptor.h"
#include "harness/judge.h"

namespace attest {

/// Why a case has the verdict CRASH.
enum class CrashReason { none, crash, hang, deadlock, race, bounds, misuse, device };

std::string_view name(CrashReason);

/// Seconds spent on each step of one case.
struct Timing {
  double inputs = 0, reference = 0, kernel = 0, judge = 0;
  double total() const { return inputs + reference + kernel + judge; }
};

/// What one run of one case showed. Every report is made from these.
struct Record {
  Case which;           ///< run.kernel is set; run.splits as asked for
  Judgement judgement;  ///< verdict, check, message, metrics, worst elements
  CrashReason crash = CrashReason::none;
  std::optional<Descriptor> descriptor;  ///< what the bounds were derived from
  std::string device;                    ///< "emulated", or the GPU's name
  std::string inputs_sha256, o_sha256, lse_sha256;
  Timing seconds;
  std::string dump;               ///< file that replays a failing case, if one was written
  std::string commit, toolchain;  ///< of the program that ran it; empty: this one
};

/// One line of JSON (no newline): `schema` 1, infinities and NaN as the strings "inf" "-inf" "nan".
std::string to_json(const Record&);

/// Inverse of to_json(). Throws InfraError for anything else.
Record parse_record(std::string_view json);

/// A record for a case that did not run to its end.
Record unfinished(const Case&, Verdict, std::string message, CrashReason = CrashReason::none);

/// Whether the case passed with a warning.
bool warns(const Record&);

/// The verdict with what it rests on: "FAIL(hard_bound)", "CRASH(deadlock)", "PASS".
std::string verdict_of(const Record&);

/// The command that runs this case again.
std::string rerun_command(const Case&);

/// `rerun: <command>` and, where a dump was written, `replay: <command>`, each a line that can be
/// pasted into a shell in the current folder: they name this very program.
std::vector<std::string> reproducers(const Record&);

}  // namespace attest
