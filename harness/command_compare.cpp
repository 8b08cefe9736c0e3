#include <CLI/CLI.hpp>
#include <cctype>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>

#include "cases/error.h"
#include "harness/candidate.h"
#include "harness/commands.h"
#include "harness/report_folder.h"
#include "harness/select_options.h"
#include "harness/selection.h"
#include "harness/summary.h"

namespace attest {
namespace {

struct CompareOptions {
  std::string candidate, golden, match, report, p_type, lse;
  bool list_like = false;
  CandidateOptions how;
};

int list_likenesses() {
  for (const Likeness& like : likenesses())
    std::cout << like.name << std::string(17 - like.name.size(), ' ') << like.assumes << '\n';
  std::cout
      << "default: flash-attention for o in bf16 or fp16, naive-fp32 for fp32, exact-fp64 for "
         "fp64\n"
         "None rounds scores before the softmax, as an eager q @ k.T in 16 bits does: such "
         "outputs fail.\n";
  return kPassed;
}

CandidateOptions read_options(const CompareOptions& options) {
  CandidateOptions how = options.how;
  if (!how.like.empty()) find_likeness(how.like);
  if (!options.p_type.empty()) {
    how.p_type = parse_dtype(options.p_type);
    format_of(*how.p_type);  // refuses integers
  }
  ATTEST_CHECK(how.block_k >= 0 && how.splits >= 0,
               "compare: --block-k and --splits must not be negative, got ", how.block_k, " and ",
               how.splits);
  for (const std::string& word : split_commas(options.lse)) {
    ATTEST_CHECK(word == "log2" || word == "+inf-empty",
                 "compare: --lse must be log2, +inf-empty or both with a comma, got ", word,
                 "; without it lse is in nats, -inf where a row sees no key");
    (word == "log2" ? how.reading.lse_log2 : how.reading.lse_plus_inf) = true;
  }
  return how;
}

/// Ids of the golden's cases that --match keeps.
std::vector<std::string> select_ids(const GoldenFile& golden, const std::string& match) {
  std::vector<std::string> ids = golden.case_ids();
  if (match.empty()) return ids;
  std::erase_if(ids, [&](const std::string& id) {
    return select({.sources = {print(golden.read(id).problem)}, .match = match}).empty();
  });
  return ids;
}

/// A file's own words, without what would steer a terminal.
std::string printable(std::string text) {
  for (char& c : text)
    if (std::iscntrl(static_cast<unsigned char>(c))) c = '?';
  return text;
}

/// What the report should be read with: how the files were understood.
class Head {
 public:
  Head(const CompareOptions& options, const GoldenFile& candidate)
      : text_(concat(options.candidate, " by ", printable(candidate.provenance().producer),
                     ", against ", options.golden, '\n')) {}

  void add(const Candidate& judged) {
    ++taken_for_[judged.taken_for];
    if (judged.like) assumed_[judged.like->name] = judged.like->assumes;
    failed_ = failed_ || judged.record.judgement.verdict == Verdict::fail;
    if (!judged.passes_with.empty()) ++passing_with_[judged.passes_with];
  }

  std::string text() const {
    std::string text = text_;
    for (const auto& [words, count] : taken_for_) text += concat(cases(count), ": ", words, '\n');
    for (const auto& [name, assumes] : assumed_) text += concat(name, ": ", assumes, '\n');
    for (const auto& [options, count] : passing_with_)
      text += concat("hint: ", count, count == 1 ? " failing case passes" : " failing cases pass",
                     " with ", options, "; give it if that is how they were made\n");
    if (failed_) text += "`rerun` below gives the same inputs to Attest's own kernels\n";
    return text + '\n';
  }

 private:
  static std::string cases(std::size_t count) {
    return concat(count, count == 1 ? " case" : " cases");
  }

  std::string text_;
  std::map<std::string, std::size_t> taken_for_, passing_with_;
  std::map<std::string_view, std::string_view> assumed_;
  bool failed_ = false;
};

int compare_files(const CompareOptions& options) {
  ATTEST_CHECK(!options.golden.empty(), "compare: CANDIDATE and GOLDEN must be given, got ",
               options.candidate.empty() ? "neither" : "one file", "; see attest compare --help");
  const CandidateOptions how = read_options(options);
  if (!std::filesystem::exists(options.candidate))
    throw InfraError(concat("compare: CANDIDATE must be a file, got nothing at ", options.candidate,
                            "; write it with attest_golden.write_candidate"));
  const GoldenFile golden(options.golden), candidate(options.candidate);
  const std::vector<std::string> ids = select_ids(golden, options.match);
  if (ids.empty()) {
    std::cerr << "attest: compare: --match must keep at least one case of the golden, got none; "
                 "loosen it\n";
    return kNothingRan;
  }
  check_cases(candidate, golden);

  ReportFolder folder(options.report);
  std::vector<Record> records;
  Head head(options, candidate);
  for (const std::string& id : ids) {
    const StoredCase asked = golden.read(id);
    const Case which{.problem = asked.problem, .run = {}};
    folder.start(which);
    if (candidate.contains(id)) {
      Candidate judged = judge_candidate(candidate.read(id), asked, how, folder.failures());
      head.add(judged);
      records.push_back(std::move(judged.record));
    } else {
      records.push_back(unfinished(which, Verdict::not_run,
                                   "compare: the candidate must hold every case of the golden, got "
                                   "none of this; write it or leave it out with --match"));
    }
    folder.add(records.back());
  }
  folder.finish(records, head.text() + text_report(records, Detail::full));
  std::cout << head.text() << text_report(records, Detail::brief);
  if (!options.report.empty()) std::cout << "report: " << options.report << '\n';
  return exit_code(summarize(records));
}

}  // namespace

void add_compare(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("compare", "Judge outputs that another program computed");
  const auto options = std::make_shared<CompareOptions>();
  command->add_option("candidate", options->candidate,
                      "The outputs (HDF5, attest_golden.write_candidate; golden/candidates.md)");
  command->add_option("golden", options->golden, "The golden whose inputs they were computed from");
  command->add_option("--match", options->match,
                      "Keep cases whose string contains this regular expression");
  command->add_option("--report", options->report,
                      "Folder for results.jsonl, junit.xml, summary.txt and failures/");
  command->add_option("--like", options->how.like,
                      "What the program is taken to round; default: by the type of o");
  command->add_flag("--list-like", options->list_like, "Say what each --like assumes");
  command->add_option("--p-type", options->p_type, "Type that p is rounded to before p v");
  command->add_option("--block-k", options->how.block_k, "Keys per step of the running maximum");
  command->add_option("--splits", options->how.splits, "Parts of the keys that are merged");
  command->add_flag("--o-rounded", options->how.reading.o_rounded,
                    "o was rounded to the case's 16-bit type and then stored wider");
  command->add_option("--lse", options->lse,
                      "log2: lse is in units of ln 2; +inf-empty: it is +inf where a row sees no "
                      "key; both: joined by a comma");
  command->callback([options, &exit_code] {
    exit_code = options->list_like ? list_likenesses() : compare_files(*options);
  });
}

}  // namespace attest
