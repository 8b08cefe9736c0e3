#include "harness/run_info.h"

#include "cases/error.h"
#include "cases/sha256.h"
#include "harness/json.h"
#include "harness/version.h"

namespace attest {

std::string list_text(const std::vector<Case>& list) {
  std::string text;
  for (const Case& c : list) text += print(c) + '\n';
  return text;
}

RunInfo run_info(const std::vector<Case>& list, std::string shard) {
  return {.commit = std::string(commit()),
          .toolchain = std::string(toolchain()),
          .shard = std::move(shard),
          .cases = list.size(),
          .list_sha256 = sha256(list_text(list))};
}

std::string to_json(const RunInfo& info) {
  const Json json = {
      {"schema", 1},         {"commit", info.commit}, {"toolchain", info.toolchain},
      {"shard", info.shard}, {"cases", info.cases},   {"list_sha256", info.list_sha256}};
  return json.dump(2) + '\n';
}

RunInfo parse_run_info(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    if (json.at("schema") != 1)
      throw InfraError(concat("run info: schema must be 1, got ", json.at("schema").dump()));
    return {.commit = json.at("commit"),
            .toolchain = json.at("toolchain"),
            .shard = json.at("shard"),
            .cases = json.at("cases"),
            .list_sha256 = json.at("list_sha256")};
  } catch (const Json::exception& error) {
    throw InfraError(concat("run info: must be an object of schema 1, got ", text.substr(0, 80),
                            " (", error.what(), ")"));
  }
}

}  // namespace attest
