#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "harness/record.h"
#include "harness/run_info.h"

namespace attest {

/// The report folders of a list's shards, joined.
struct Merged {
  RunInfo info = {};                 ///< of the whole list
  std::vector<Case> list = {};       ///< what had to run
  std::vector<Record> records = {};  ///< one for each case of the list, in its order
  std::vector<Case> started = {};    ///< as the journals say
  std::size_t missing = 0;           ///< cases that no folder has; their records say NOT_RUN
  std::set<std::string> missing_shards = {};  ///< "2/3": those that these cases are of
};

/// Joins folders that `attest run --report` filled, whatever shards they are. The dump that a
/// record names lies in its folder; none where the file is not there.
///
/// Throws attest::Error for folders of different commits or lists, for a case that two folders have
/// and for one that the list does not have; InfraError for a folder that holds no complete run.
Merged merge_folders(const std::vector<std::filesystem::path>& folders);

}  // namespace attest
