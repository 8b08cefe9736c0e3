#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <thread>

#include "cases/error.h"
#include "harness/bench.h"
#include "harness/commands.h"
#include "harness/select_options.h"
#include "harness/summary.h"

namespace attest {
namespace {

struct BenchOptions {
  std::vector<std::string> parts = {"reference", "judge", "golden", "kernels"};
  KernelBenchOptions kernels;
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
};

int run_part(const std::string& part, const BenchOptions& options) {
  if (part == "kernels") return bench_kernels(options.kernels) > 0 ? kPassed : kNothingRan;
  if (part == "reference")
    bench_reference();
  else if (part == "judge")
    bench_judge();
  else if (part == "golden")
    bench_golden();
  else if (part == "gate")
    bench_gate(options.jobs);
  else
    throw Error(concat("bench: parts are reference judge golden kernels gate, got ", part));
  return kPassed;
}

int run(const BenchOptions& options) {
  const std::vector<std::string>& parts = options.parts;
  const bool has_kernels = std::find(parts.begin(), parts.end(), "kernels") != parts.end();
  ATTEST_CHECK(has_kernels || (options.kernels.json.empty() && options.kernels.match.empty()),
               "bench: --json and --match belong to the part kernels, got other parts");
  int exit_code = kPassed;
  // The gate first: its memory is read from the largest child so far.
  std::vector<std::string> ordered = parts;
  std::stable_partition(ordered.begin(), ordered.end(),
                        [](const std::string& part) { return part == "gate"; });
  for (const std::string& part : ordered) exit_code = std::max(exit_code, run_part(part, options));
  return exit_code;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure speed (ratios within one run; never a verdict)");
  const auto options = std::make_shared<BenchOptions>();
  command->add_option("parts", options->parts, "Of reference judge golden kernels gate")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--backend", options->kernels.backends, "Of the kernels: emu, gpu or emu,gpu")
      ->capture_default_str();
  command->add_option("--match", options->kernels.match,
                      "Keep kernel cases whose string contains this regular expression");
  command->add_option("--json", options->kernels.json, "File for one JSON line a kernel case");
  command->add_option("--jobs,-j", options->jobs, "Workers of the gate")->capture_default_str();
  command->callback([options, &exit_code] {
    char name[] = "attest";
    char* argv[] = {name};
    int argc = 1;
    benchmark::Initialize(&argc, argv);
    exit_code = run(*options);
  });
}

}  // namespace attest
