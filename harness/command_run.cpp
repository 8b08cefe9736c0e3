#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/simt/probe.h"
#include "harness/commands.h"
#include "harness/dump.h"
#include "harness/pool.h"
#include "harness/progress.h"
#include "harness/report_folder.h"
#include "harness/select_options.h"
#include "harness/summary.h"

namespace attest {
namespace {

struct RunOptions {
  SelectOptions select;
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  double timeout = 60;
  std::string report, replay;
};

void require_devices(const std::vector<Backend>& backends) {
  for (Backend backend : backends)
    if (device_name(backend).empty())
      throw InfraError(concat("run: backend ", name(backend), " needs a ",
                              has_gpu_build() ? "GPU, found none" : "build with a CUDA toolkit",
                              "; run attest doctor"));
}

int finish(const std::vector<Record>& records, ReportFolder& folder, const std::string& report) {
  const bool emulated = std::any_of(records.begin(), records.end(), [](const Record& record) {
    return record.which.run.backend == Backend::emu && record.seconds.kernel > 0;
  });
  const double probe = emulated ? mma_probe_seconds() : 0;
  folder.finish(records, text_report(records, Detail::full, probe));
  std::cout << text_report(records, Detail::brief, probe);
  if (!report.empty()) std::cout << "report: " << report << '\n';
  return exit_code(summarize(records));
}

int replay(const RunOptions& options) {
  const Replay dump = read_dump(options.replay);
  require_devices({dump.which.run.backend});
  ReportFolder folder(options.report);
  folder.describe(run_info({dump.which}, ""), {dump.which});
  folder.start(dump.which);
  const std::vector<Record> records = {run_case(dump.which, dump.question, folder.failures())};
  folder.add(records.front());
  return finish(records, folder, options.report);
}

/// Puts records, which come as their cases end, in the order of the cases.
void sort_like(const std::vector<Case>& cases, std::vector<Record>& records) {
  std::unordered_map<std::string, std::size_t> place;
  for (const Case& c : cases) place.emplace(print(c), place.size());
  std::sort(records.begin(), records.end(), [&](const Record& a, const Record& b) {
    return place.at(print(a.which)) < place.at(print(b.which));
  });
}

int run(const RunOptions& options) {
  ATTEST_CHECK(options.jobs >= 1 && options.timeout > 0,
               "run: --jobs and --timeout must be positive, got ", options.jobs, " and ",
               options.timeout);
  catch_interrupts();
  Selection selection = options.select.resolve();
  require_devices(selection.backends);
  const std::string shard = std::exchange(selection.shard, "");
  const std::vector<Case> list = assign_kernels(select(selection), selection);
  const std::vector<Case> cases = pick_shard(list, shard);
  if (cases.empty()) {
    std::cerr << "attest: run: the selection must keep at least one case, got none; "
                 "see attest list, loosen --match, --kernel or --shard\n";
    return kNothingRan;
  }
  ReportFolder folder(options.report);
  folder.describe(run_info(list, shard), list);
  Progress progress(cases.size());
  std::vector<Record> records;
  PoolOptions pool{
      .worker = {"/proc/self/exe", "worker"}, .jobs = options.jobs, .timeout = options.timeout};
  if (!options.report.empty())
    pool.worker.insert(pool.worker.end(), {"--failures", folder.failures()});
  run_pool(
      cases, pool, [&](const Case& c) { folder.start(c); },
      [&](const Record& record) {
        records.push_back(record);
        folder.add(record);
        progress.show(record);
      });
  progress.clear();
  sort_like(cases, records);
  return finish(records, folder, options.report);
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("run", "Run cases and judge every kernel's output");
  const auto options = std::make_shared<RunOptions>();
  options->select.add_to(*command, true);
  command->add_option("--jobs,-j", options->jobs, "Worker processes")->capture_default_str();
  command->add_option("--timeout", options->timeout, "Seconds a case may take")
      ->capture_default_str();
  command->add_option("--report", options->report,
                      "Folder for results.jsonl, junit.xml, summary.txt and failures/");
  command->add_option("--replay", options->replay, "Run a dumped case again, in this process");
  command->callback([options, &exit_code] {
    exit_code = options->replay.empty() ? run(*options) : replay(*options);
  });
}

void add_worker(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("worker", "Answer case strings on stdin with records");
  command->group("");  // not in --help
  const auto failures = std::make_shared<std::string>();
  command->add_option("--failures", *failures);
  command->callback([failures, &exit_code] { exit_code = serve_cases(*failures); });
}

}  // namespace attest
