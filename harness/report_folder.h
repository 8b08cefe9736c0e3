#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "harness/record.h"
#include "harness/run_info.h"

namespace attest {

/// The folder of one run: results.jsonl, junit.xml, summary.txt, failures/, journal.txt (the cases
/// as they were started), run.json and cases.txt (what was asked, run_info.h). results.jsonl grows
/// as results.jsonl.partial, in the order in which cases end, and is written when the run is
/// complete, in the order of the records that finish() gets. Files of an earlier run in the same
/// folder are replaced. Every member throws InfraError when the disk refuses.
class ReportFolder {
 public:
  /// An empty path keeps nothing.
  explicit ReportFolder(std::filesystem::path folder);

  /// Writes run.json and cases.txt.
  void describe(const RunInfo&, const std::vector<Case>& list);

  void start(const Case&);
  void add(const Record&);
  void finish(const std::vector<Record>&, const std::string& text);

  /// Copies the dump of a failing case here; returns where it is then.
  std::string keep_dump(const std::filesystem::path&);

  /// Where failing cases are dumped; empty when nothing is kept.
  std::string failures() const;

 private:
  void require(const std::ofstream&, const char* file) const;
  void write(const char* file, const std::string& text) const;

  std::filesystem::path folder_;
  std::ofstream journal_, results_;
};

}  // namespace attest
