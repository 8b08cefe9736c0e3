#include "harness/summary.h"

#include <fmt/format.h>

#include <map>

namespace attest {
namespace {

struct Row {
  Summary summary;
};

/// What a row of the table stands for.
std::string row_key(const Record& record) {
  return fmt::format("{:<6}{:<10}{}", name(record.which.problem.variant), record.which.run.kernel,
                     record.device.empty() ? name(record.which.run.backend) : record.device);
}

bool passed_or_skipped(Verdict verdict) {
  return verdict == Verdict::pass || verdict == Verdict::skip || verdict == Verdict::xfail;
}

std::string trouble(const Record& record) {
  std::string verdict(name(record.judgement.verdict));
  if (record.crash != CrashReason::none) verdict += fmt::format("({})", name(record.crash));
  std::string text =
      fmt::format("{}  {}\n      {}\n      rerun: {}\n", verdict, print(record.which),
                  record.judgement.message, rerun_command(record.which));
  if (!record.dump.empty())
    text += fmt::format("      replay: attest run --replay {}\n", record.dump);
  return text;
}

std::string table(const std::map<std::string, Row>& rows) {
  std::string text =
      fmt::format("{:<34}{:>6}{:>6}{:>6}{:>6}{:>11}{:>6}{:>9}{:>10}\n", "variant kernel  runs on",
                  "cases", "PASS", "FAIL", "SKIP", "UNTRUSTED", "CRASH", "worst", "seconds");
  for (const auto& [key, row] : rows) {
    const Summary& s = row.summary;
    text += fmt::format("{:<34}{:>6}{:>6}{:>6}{:>6}{:>11}{:>6}{:>9.2f}{:>10.1f}\n", key, s.total(),
                        s.of(Verdict::pass), s.of(Verdict::fail), s.of(Verdict::skip),
                        s.of(Verdict::untrusted), s.of(Verdict::crash), s.worst_ratio,
                        s.seconds.total());
  }
  return text;
}

void add(Summary& summary, const Record& record) {
  const Verdict verdict = record.judgement.verdict;
  ++summary.count[static_cast<std::size_t>(verdict)];
  summary.seconds.inputs += record.seconds.inputs;
  summary.seconds.reference += record.seconds.reference;
  summary.seconds.kernel += record.seconds.kernel;
  summary.seconds.judge += record.seconds.judge;
  const bool judged = verdict == Verdict::pass || verdict == Verdict::fail;
  const double ratio = judged ? record.judgement.metrics.worst_ratio() : 0;
  if (ratio > summary.worst_ratio) {
    summary.worst_ratio = ratio;
    summary.worst_case = print(record.which);
  }
}

}  // namespace

std::size_t Summary::total() const {
  std::size_t sum = 0;
  for (std::size_t n : count) sum += n;
  return sum;
}

Summary summarize(const std::vector<Record>& records) {
  Summary summary;
  for (const Record& record : records) add(summary, record);
  return summary;
}

ExitCode exit_code(const Summary& s) {
  if (s.of(Verdict::not_run) > 0) return kInfrastructure;
  if (s.of(Verdict::fail) + s.of(Verdict::crash) + s.of(Verdict::xpass) > 0) return kFailed;
  if (s.of(Verdict::untrusted) > 0) return kUntrusted;
  if (s.of(Verdict::pass) + s.of(Verdict::xfail) == 0) return kNothingRan;
  return kPassed;
}

std::string total_line(const Summary& s) {
  std::string text =
      fmt::format("PASS {}   FAIL {}   SKIP {}   UNTRUSTED {}", s.of(Verdict::pass),
                  s.of(Verdict::fail), s.of(Verdict::skip), s.of(Verdict::untrusted));
  for (Verdict verdict : {Verdict::crash, Verdict::xfail, Verdict::xpass, Verdict::not_run})
    if (s.of(verdict) > 0) text += fmt::format("   {} {}", name(verdict), s.of(verdict));
  if (!s.worst_case.empty())
    text += fmt::format("     worst: {:.2f} of bound at {}", s.worst_ratio, s.worst_case);
  return text;
}

std::string text_report(const std::vector<Record>& records, double probe) {
  std::map<std::string, Row> rows;
  std::string troubles;
  for (const Record& record : records) {
    add(rows[row_key(record)].summary, record);
    if (!passed_or_skipped(record.judgement.verdict)) troubles += trouble(record);
  }
  const Summary summary = summarize(records);
  const Timing& t = summary.seconds;
  const std::string in_probes =
      probe > 0 ? fmt::format(" ({:.2e} mma probes of {:.0f} ns)", t.kernel / probe, probe * 1e9)
                : "";
  return fmt::format(
      "{}{}{}seconds of work: inputs {:.1f}, reference {:.1f}, kernels {:.1f}{}, judging {:.1f}\n\n"
      "{}\n",
      troubles, troubles.empty() ? "" : "\n", table(rows), t.inputs, t.reference, t.kernel,
      in_probes, t.judge, total_line(summary));
}

}  // namespace attest
