#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "harness/record.h"

namespace attest {

/// Exit codes of `attest run` and friends, in architecture order of precedence 2 > 3 > 1 > 4 > 5.
enum ExitCode : int {
  kPassed = 0,
  kFailed = 1,          ///< FAIL, CRASH or XPASS
  kUsage = 2,           ///< the command line or a case file is wrong
  kInfrastructure = 3,  ///< I/O, CUDA, a corrupt golden, NOT_RUN, interrupted
  kUntrusted = 4,       ///< nothing failed, but something was UNTRUSTED
  kNothingRan = 5
};

/// Counts of a run.
struct Summary {
  std::array<std::size_t, 8> count{};  ///< by Verdict
  double worst_ratio = 0;              ///< largest error / bound over all trusted cases
  std::string worst_case;
  std::size_t warned = 0;  ///< of the passed cases, those with a warning
  Timing seconds;          ///< sums over cases

  void add(const Record&);
  std::size_t of(Verdict verdict) const { return count[static_cast<std::size_t>(verdict)]; }
  std::size_t total() const;
};

Summary summarize(const std::vector<Record>&);

/// The exit code that a run with these counts ends with.
ExitCode exit_code(const Summary&);

/// `PASS 192   FAIL 0   SKIP 0   UNTRUSTED 0     worst: 0.41 of bound at <case>`; other verdicts
/// and `WARN 3` appear where they occur.
std::string total_line(const Summary&);

/// How much text_report() says: `full` adds a line for every case that warns, did not run or fails
/// beyond the first ten.
enum class Detail { brief, full };

/// The ten smallest problems that failed in full and what all failures have in common, the same of
/// untrusted ones, one line for each reason to skip, a table with one row per variant, kernel and
/// device, and the total line. probe: seconds of the emulator's mma probe (cuda/simt/probe.h) on
/// this machine; the kernels' time is also told in it. 0: it is not.
std::string text_report(const std::vector<Record>&, Detail, double probe = 0);

}  // namespace attest
