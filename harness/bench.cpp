#include "harness/bench.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <vector>

namespace attest {
namespace {

constexpr int kRepetitions = 5;

/// Keeps the seconds of every repetition, prints nothing.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      if (run.run_type == Run::RT_Iteration)
        seconds.push_back(run.real_accumulated_time / static_cast<double>(run.iterations));
  }
  std::vector<double> seconds;
};

}  // namespace

double median_seconds(const std::string& name, const std::function<void()>& body) {
  benchmark::RegisterBenchmark(name.c_str(),
                               [&body](benchmark::State& state) {
                                 for ([[maybe_unused]] auto _ : state) body();
                               })
      ->UseRealTime()
      ->MinTime(0.2)
      ->Repetitions(kRepetitions);
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  benchmark::ClearRegisteredBenchmarks();
  std::sort(collector.seconds.begin(), collector.seconds.end());
  return collector.seconds.at(collector.seconds.size() / 2);
}

void print_row(const std::string& label, const std::string& figure, const std::string& remark) {
  std::cout << fmt::format("{:<44}{:>14}   {}\n", label, figure, remark) << std::flush;
}

}  // namespace attest
