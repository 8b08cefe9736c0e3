#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>

#include "cuda/simt/probe.h"
#include "harness/bench.h"
#include "harness/pool.h"
#include "harness/selection.h"
#include "harness/summary.h"

namespace attest {
namespace {

double peak_mebibytes(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace

void bench_gate(int jobs) {
  const Selection selection;
  const std::vector<Case> cases = assign_kernels(select(selection), selection);
  std::vector<Record> records;
  const double probe = mma_probe_seconds();
  const auto start = std::chrono::steady_clock::now();
  run_pool(
      cases, {{"/proc/self/exe", "worker"}, jobs, 60}, [](const Case&) {},
      [&](const Record& record) { records.push_back(record); });
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  const Summary summary = summarize(records);
  const double seconds = wall.count() * jobs;

  print_row("gate", fmt::format("{:.1f} s", wall.count()),
            fmt::format("{} cases on {} workers: {}", cases.size(), jobs, total_line(summary)));
  print_row("gate against the mma probe", fmt::format("{:.2e} x", seconds / probe),
            fmt::format("worker seconds over {:.0f} ns, one emulated mma.m16n8k16", probe * 1e9));
  print_row("gate, memory",
            fmt::format("{:.0f} MiB",
                        jobs * peak_mebibytes(RUSAGE_CHILDREN) + peak_mebibytes(RUSAGE_SELF)),
            "at most: workers times the largest, and this program");
}

}  // namespace attest
