#include "harness/report_folder.h"

#include "cases/error.h"
#include "harness/junit.h"

namespace attest {

namespace fs = std::filesystem;

ReportFolder::ReportFolder(fs::path folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  for (const char* old : {"results.jsonl", "junit.xml", "summary.txt", "failures"})
    fs::remove_all(folder_ / old, error);
  journal_.open(folder_ / "journal.txt");
  results_.open(folder_ / "results.jsonl.partial");
  require(journal_, "journal.txt");
  require(results_, "results.jsonl.partial");
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
  for (const auto& [name, content] :
       {std::pair<const char*, std::string>{"junit.xml", junit_report(records)},
        std::pair<const char*, std::string>{"summary.txt", text}}) {
    std::ofstream file(folder_ / name);
    file << content;
    file.close();
    require(file, name);
  }
  fs::rename(folder_ / "results.jsonl.partial", folder_ / "results.jsonl");
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

}  // namespace attest
