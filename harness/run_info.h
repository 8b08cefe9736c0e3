#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cases/case.h"

namespace attest {

/// What was asked of a run, so that its parts can be joined again: run.json in a report folder.
struct RunInfo {
  std::string commit, toolchain;  ///< of the program
  std::string shard;              ///< "2/3"; empty: the whole list
  std::size_t cases = 0;          ///< of the whole list
  std::string list_sha256;        ///< of cases.txt, which names them
};

/// The content of cases.txt: a case string a line.
std::string list_text(const std::vector<Case>&);

/// A run of this program over `list`, of which it takes `shard`.
RunInfo run_info(const std::vector<Case>& list, std::string shard);

/// One JSON object, `schema` 1; and back. The latter throws InfraError for anything else.
std::string to_json(const RunInfo&);
RunInfo parse_run_info(std::string_view json);

}  // namespace attest
