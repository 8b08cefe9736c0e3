#include "harness/report_folder.h"

#include "cases/error.h"
#include "harness/junit.h"

namespace attest {

namespace fs = std::filesystem;

ReportFolder::ReportFolder(fs::path folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  for (const char* old :
       {"results.jsonl", "junit.xml", "summary.txt", "failures", "run.json", "cases.txt"})
    fs::remove_all(folder_ / old, error);
  journal_.open(folder_ / "journal.txt");
  results_.open(folder_ / "results.jsonl.partial");
  require(journal_, "journal.txt");
  require(results_, "results.jsonl.partial");
}

void ReportFolder::describe(const RunInfo& info, const std::vector<Case>& list) {
  if (folder_.empty()) return;
  write("run.json", to_json(info));
  write("cases.txt", list_text(list));
}

void ReportFolder::start(const Case& which) {
  if (folder_.empty()) return;
  journal_ << print(which) << std::endl;
  require(journal_, "journal.txt");
}

void ReportFolder::add(const Record& record) {
  if (folder_.empty()) return;
  results_ << to_json(record) << std::endl;
  require(results_, "results.jsonl.partial");
}

void ReportFolder::finish(const std::vector<Record>& records, const std::string& text) {
  if (folder_.empty()) return;
  results_.close();
  require(results_, "results.jsonl.partial");
  std::string lines;
  for (const Record& record : records) lines += to_json(record) + '\n';
  write("junit.xml", junit_report(records));
  write("summary.txt", text);
  write("results.jsonl.new", lines);
  fs::rename(folder_ / "results.jsonl.new", folder_ / "results.jsonl");
  fs::remove(folder_ / "results.jsonl.partial");
}

std::string ReportFolder::keep_dump(const fs::path& dump) {
  if (folder_.empty()) return dump.string();
  const fs::path kept = folder_ / "failures" / dump.filename();
  std::error_code error;
  fs::create_directories(kept.parent_path(), error);
  fs::copy_file(dump, kept, fs::copy_options::overwrite_existing, error);
  if (error)
    throw InfraError(concat("report: ", dump.string(), " must be copied to ", kept.string(),
                            ", got ", error.message(), "; free space or choose another folder"));
  return kept.string();
}

std::string ReportFolder::failures() const {
  return folder_.empty() ? "" : (folder_ / "failures").string();
}

void ReportFolder::require(const std::ofstream& file, const char* name) const {
  if (!file)
    throw InfraError(concat("report: ", (folder_ / name).string(),
                            " must be writable, got an error; free space or choose another "
                            "--report"));
}

void ReportFolder::write(const char* name, const std::string& text) const {
  std::ofstream file(folder_ / name);
  file << text;
  file.close();
  require(file, name);
}

}  // namespace attest
