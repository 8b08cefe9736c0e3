#include "harness/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/pattern.h"

namespace attest {
namespace {

constexpr std::size_t kInFull = 10;  // failing cases

using Records = std::vector<const Record*>;

std::string table(const std::vector<Record>& records) {
  std::map<Backend, std::string_view> devices = {{Backend::emu, "emulated"}, {Backend::gpu, "gpu"}};
  for (const Record& record : records)  // what did not run names none
    if (!record.device.empty()) devices[record.which.run.backend] = record.device;
  std::map<std::string, Summary> rows;
  for (const Record& record : records)
    rows[fmt::format("{:<9}{:<12}{}", name(record.which.problem.variant), record.which.run.kernel,
                     devices[record.which.run.backend])]
        .add(record);
  std::string text = fmt::format("{:<36}{:>5}{:>6}{:>6}{:>6}{:>11}{:>6}{:>9}{:>10}\n",
                                 "variant  kernel      runs on", "cases", "PASS", "FAIL", "SKIP",
                                 "UNTRUSTED", "CRASH", "worst", "seconds");
  for (const auto& [key, s] : rows)
    text += fmt::format("{:<36}{:>5}{:>6}{:>6}{:>6}{:>11}{:>6}{:>9.2f}{:>10.1f}\n", key, s.total(),
                        s.of(Verdict::pass), s.of(Verdict::fail), s.of(Verdict::skip),
                        s.of(Verdict::untrusted), s.of(Verdict::crash), s.worst_ratio,
                        s.seconds.total());
  return text;
}

/// The cases with one of these verdicts, smallest problem first.
Records pick(const std::vector<Record>& records, std::initializer_list<Verdict> verdicts) {
  Records picked;
  for (const Record& record : records)
    if (std::count(verdicts.begin(), verdicts.end(), record.judgement.verdict))
      picked.push_back(&record);
  const auto size = [](const Record* record) {
    return std::pair(record->which.problem.flops(), print(record->which));
  };
  std::sort(picked.begin(), picked.end(),
            [&](const Record* a, const Record* b) { return size(a) < size(b); });
  return picked;
}

std::string in_full(const Record& record) {
  std::string text = fmt::format("{}  {}\n      {}\n", verdict_of(record), print(record.which),
                                 record.judgement.message);
  for (const std::string& line : reproducers(record)) text += fmt::format("      {}\n", line);
  return text;
}

/// One line a stage of a layer, and how far its output is from a layer without roundings.
std::string stage_table(const Judgement& j) {
  if (j.end_to_end_limit == 0) return "";  // no layer
  std::string text;
  if (!j.stages.empty())
    text = fmt::format("{:<14}{:<12}{:>10}{:>12}{:>8}\n", "stage", "verdict", "elements", "worst",
                       "rho");
  for (const StageResult& stage : j.stages)
    text += fmt::format("{:<14}{:<12}{:>10}{:>12.2f}{:>8.2f}\n", stage.stage, name(stage.verdict),
                        stage.total, stage.ratio, stage.rho);
  return text + fmt::format("end to end: error^2 of y over y^2 {:.2e}, limit {:.2e}\n",
                            j.metrics.nmse, j.end_to_end_limit);
}

std::string in_a_line(const Record& record) {
  return fmt::format("{}  {}  {}\n", verdict_of(record), print(record.which),
                     record.judgement.message);
}

std::string troubles(const Records& list, Detail detail) {
  std::string text;
  for (std::size_t n = 0; n < std::min(list.size(), kInFull); ++n) text += in_full(*list[n]);
  if (list.size() <= kInFull) return text;
  const std::size_t more = list.size() - kInFull;
  if (detail == Detail::brief)
    return text + fmt::format(
                      "{} more, the smallest problems are above; summary.txt in the folder "
                      "of --report has a line for each\n",
                      more);
  text += fmt::format("{} more, the smallest problems are above:\n", more);
  for (std::size_t n = kInFull; n < list.size(); ++n) text += in_a_line(*list[n]);
  return text;
}

/// One line for each message: how many cases have it, and the first of them.
std::string by_reason(const Records& list) {
  std::map<std::string, Records> reasons;
  for (const Record* record : list) reasons[record->judgement.message].push_back(record);
  std::string text;
  for (const auto& [reason, records] : reasons)
    text += fmt::format("{} {}  {} ({}{})\n", verdict_of(*records.front()), records.size(), reason,
                        records.size() > 1 ? "first: " : "", print(records.front()->which));
  return text;
}

std::string time_line(const Timing& t, double probe) {
  const std::string in_probes =
      probe > 0 ? fmt::format(" ({:.2e} mma probes of {:.0f} ns)", t.kernel / probe, probe * 1e9)
                : "";
  return fmt::format(
      "seconds of work: inputs {:.1f}, reference {:.1f}, kernels {:.1f}{}, judging {:.1f}\n",
      t.inputs, t.reference, t.kernel, in_probes, t.judge);
}

/// A paragraph that is not empty ends with an empty line.
std::string paragraph(const std::string& text) { return text.empty() ? "" : text + '\n'; }

}  // namespace

void Summary::add(const Record& record) {
  const Verdict verdict = record.judgement.verdict;
  ++count[static_cast<std::size_t>(verdict)];
  warned += warns(record);
  seconds.inputs += record.seconds.inputs;
  seconds.reference += record.seconds.reference;
  seconds.kernel += record.seconds.kernel;
  seconds.judge += record.seconds.judge;
  const bool judged = verdict == Verdict::pass || verdict == Verdict::fail;
  const double ratio = judged ? record.judgement.metrics.worst_ratio() : 0;
  if (ratio > worst_ratio) {
    worst_ratio = ratio;
    worst_case = print(record.which);
  }
}

std::size_t Summary::total() const {
  std::size_t sum = 0;
  for (std::size_t n : count) sum += n;
  return sum;
}

Summary summarize(const std::vector<Record>& records) {
  Summary summary;
  for (const Record& record : records) summary.add(record);
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
  if (s.warned > 0) text += fmt::format("   WARN {}", s.warned);
  if (!s.worst_case.empty())
    text += fmt::format("     worst: {:.2f} of bound at {}", s.worst_ratio, s.worst_case);
  return text;
}

std::string text_report(const std::vector<Record>& records, Detail detail, double probe) {
  const Records failed = pick(records, {Verdict::fail, Verdict::crash, Verdict::xpass});
  const std::string pattern = failure_pattern(records);
  std::string text = troubles(failed, detail);
  if (!pattern.empty()) text += pattern + '\n';
  text = paragraph(text);
  text += paragraph(troubles(pick(records, {Verdict::untrusted}), detail));
  const Records lost = pick(records, {Verdict::not_run});
  if (detail == Detail::full) {
    std::string lines;
    for (const Record& record : records)
      if (warns(record))
        lines += "WARN  " + print(record.which) + "  " + record.judgement.message + '\n';
    for (const Record* record : lost) lines += in_a_line(*record);
    text += paragraph(lines);
  }
  text += paragraph(by_reason(lost) + by_reason(pick(records, {Verdict::skip})));
  if (records.size() == 1) text += paragraph(stage_table(records.front().judgement));
  const Summary summary = summarize(records);
  return text + table(records) + time_line(summary.seconds, probe) + '\n' + total_line(summary) +
         '\n';
}

}  // namespace attest
