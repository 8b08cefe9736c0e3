#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "cases/error.h"
#include "harness/commands.h"
#include "harness/merge.h"
#include "harness/report_folder.h"
#include "harness/summary.h"

namespace attest {
namespace {

namespace fs = std::filesystem;

struct MergeOptions {
  std::vector<std::string> folders;
  std::string output;
};

int merge(const MergeOptions& options) {
  for (const std::string& folder : options.folders)
    ATTEST_CHECK(fs::weakly_canonical(folder) != fs::weakly_canonical(options.output),
                 "merge: --output must be a folder of its own, got ", options.output,
                 ", which is to be merged");
  Merged merged = merge_folders({options.folders.begin(), options.folders.end()});
  ReportFolder folder(options.output);
  folder.describe(merged.info, merged.list);
  for (const Case& c : merged.started) folder.start(c);
  for (Record& record : merged.records)
    if (!record.dump.empty()) record.dump = folder.keep_dump(record.dump);
  folder.finish(merged.records, text_report(merged.records, Detail::full));
  std::cout << text_report(merged.records, Detail::brief) << "report: " << options.output << '\n';
  if (merged.missing > 0) {
    std::string shards;
    for (const std::string& shard : merged.missing_shards) shards += ' ' + shard;
    std::cerr << "attest: merge: every case of cases.txt must be in a folder, " << merged.missing
              << " of " << merged.list.size() << " are in none; run"
              << (shards.empty() ? " them" : " --shard" + shards) << " and merge again\n";
  }
  return exit_code(summarize(merged.records));
}

}  // namespace

void add_merge(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("merge", "Join the report folders of shards, and prove that none lacks");
  const auto options = std::make_shared<MergeOptions>();
  command->add_option("folders", options->folders, "Folders of attest run --shard i/n --report")
      ->required();
  command->add_option("--output,-o", options->output, "Folder for the joined report")->required();
  command->callback([options, &exit_code] { exit_code = merge(*options); });
}

}  // namespace attest
