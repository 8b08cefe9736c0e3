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

std::vector<double> repeated_seconds(const std::string& name, const std::function<void()>& body) {
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
  return collector.seconds;
}

double median_seconds(const std::string& name, const std::function<void()>& body) {
  return median(repeated_seconds(name, body));
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void print_row(const std::string& label, const std::string& figure, const std::string& remark) {
  std::cout << fmt::format("{:<44}{:>14}   {}\n", label, figure, remark) << std::flush;
}

}  // namespace attest
