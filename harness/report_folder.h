#pragma once

#include <filesystem>
#include <fstream>
#include <vector>

#include "harness/record.h"

namespace attest {

/// The folder of one run: results.jsonl, junit.xml, summary.txt, failures/ and journal.txt (the
/// cases as they were started). results.jsonl grows as results.jsonl.partial and gets its name
/// when the run is complete. Files of an earlier run in the same folder are replaced.
/// Every member throws InfraError when the disk refuses.
class ReportFolder {
 public:
  /// An empty path keeps nothing.
  explicit ReportFolder(std::filesystem::path folder);

  void start(const Case&);
  void add(const Record&);
  void finish(const std::vector<Record>&, const std::string& text);

  /// Where failing cases are dumped; empty when nothing is kept.
  std::string failures() const;

 private:
  void require(const std::ofstream&, const char* file) const;

  std::filesystem::path folder_;
  std::ofstream journal_, results_;
};

}  // namespace attest
