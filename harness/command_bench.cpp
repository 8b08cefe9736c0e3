#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <thread>

#include "cases/error.h"
#include "harness/bench.h"
#include "harness/bench_rows.h"
#include "harness/commands.h"
#include "harness/select_options.h"
#include "harness/summary.h"

namespace attest {
namespace {

struct BenchOptions {
  std::vector<std::string> parts = {"reference", "judge", "golden", "kernels", "gemm"};
  std::string backends = "emu";  ///< joined by commas
  std::string match, json;       ///< empty: all rows, no file
  int jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
};

const std::vector<std::string> kParts = {"reference", "judge", "golden", "gate", "kernels", "gemm"};

bool is_one_of(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Returns the number of rows that --json gets.
std::size_t run_part(const std::string& part, const BenchOptions& options,
                     const BenchSelection& selected, JsonRows& rows) {
  if (part == "kernels") return bench_kernels(selected, rows);
  if (part == "gemm") return bench_gemm(selected, rows);
  if (part == "reference") bench_reference();
  if (part == "judge") bench_judge();
  if (part == "golden") bench_golden();
  if (part == "gate") bench_gate(options.jobs);
  return 0;
}

BenchSelection selection_of(const BenchOptions& options) {
  BenchSelection selected{.backends = {}, .match = options.match};
  for (const std::string& word : split_commas(options.backends))
    selected.backends.push_back(parse_backend(word));
  for (const Backend backend : selected.backends) require_device(backend);
  return selected;
}

int run(const BenchOptions& options) {
  const std::vector<std::string>& parts = options.parts;
  for (const std::string& part : parts)
    ATTEST_CHECK(is_one_of(kParts, part),
                 "bench: parts are reference judge golden kernels gemm gate, got ", part);
  const bool has_rows = is_one_of(parts, "kernels") || is_one_of(parts, "gemm");
  ATTEST_CHECK(has_rows || (options.json.empty() && options.match.empty()),
               "bench: --json and --match belong to the parts kernels and gemm, got other parts");
  const BenchSelection selected = has_rows ? selection_of(options) : BenchSelection{};
  JsonRows json(options.json);
  // The gate first: its memory is read from the largest child so far.
  std::vector<std::string> ordered = parts;
  std::stable_partition(ordered.begin(), ordered.end(),
                        [](const std::string& part) { return part == "gate"; });
  std::size_t rows = 0;
  for (const std::string& part : ordered) rows += run_part(part, options, selected, json);
  if (!has_rows || rows > 0) return kPassed;
  std::cerr << "attest: bench: the selection must keep at least one case, got none; "
               "loosen --match\n";
  return kNothingRan;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure speed (ratios within one run; never a verdict)");
  const auto options = std::make_shared<BenchOptions>();
  command->add_option("parts", options->parts, "Of reference judge golden kernels gemm gate")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--backend", options->backends, "Of kernels and gemm: emu, gpu or emu,gpu")
      ->capture_default_str();
  command->add_option(
      "--match", options->match,
      "Keep cases of kernels and gemm whose string contains this regular expression");
  command->add_option("--json", options->json, "File for one JSON line a case of kernels and gemm");
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
