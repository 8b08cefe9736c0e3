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
  std::string parts = "reference,judge,golden,kernels";
  std::string backends = "emu";
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
};

void run_part(const std::string& part, const BenchOptions& options) {
  if (part == "reference") return bench_reference();
  if (part == "judge") return bench_judge();
  if (part == "golden") return bench_golden();
  if (part == "kernels") return bench_kernels(options.backends);
  if (part == "gate") return bench_gate(options.jobs);
  throw Error(concat("bench: parts are reference judge golden kernels gate, got ", part));
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure speed (ratios within one run; never a verdict)");
  const auto options = std::make_shared<BenchOptions>();
  command->add_option("parts", options->parts, "reference,judge,golden,kernels,gate")
      ->capture_default_str();
  command->add_option("--backend", options->backends, "Of the kernels: emu, gpu or emu,gpu")
      ->capture_default_str();
  command->add_option("--jobs,-j", options->jobs, "Workers of the gate")->capture_default_str();
  command->callback([options, &exit_code] {
    char name[] = "attest";
    char* argv[] = {name};
    int argc = 1;
    benchmark::Initialize(&argc, argv);
    for (const std::string& part : split_commas(options->parts)) run_part(part, *options);
    exit_code = kPassed;
  });
}

}  // namespace attest
