#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <thread>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/simt/emulator.h"
#include "cuda/simt/probe.h"
#include "harness/bench.h"
#include "harness/bench_problems.h"
#include "harness/bench_roofline.h"
#include "harness/inputs.h"
#include "harness/json.h"
#include "harness/run_case.h"
#include "harness/select_options.h"
#include "harness/version.h"

namespace attest {
namespace {

constexpr double kGpuSeconds = 0.2;  // of launches, with caches overwritten and as long without
constexpr std::chrono::milliseconds kRest{500};  // between cases: a hot GPU lowers its clocks

double bytes_of(const TensorSet& tensors) {
  double bytes = 0;
  for (const Tensor& tensor : tensors) bytes += static_cast<double>(tensor.bytes().size());
  return bytes;
}

Json positive_or_null(double value) { return value > 0 ? Json(value) : Json(nullptr); }

/// What every row has. seconds: of single launches.
Json row_of(const Case& which, const std::string& device, const std::vector<double>& seconds,
            double bytes) {
  const double flops = which.problem.flops(), middle = median(seconds);
  return {{"schema", 1},
          {"case", print(which)},
          {"kernel", which.run.kernel},
          {"backend", name(which.run.backend)},
          {"device", device},
          {"launches", seconds.size()},
          {"seconds", middle},
          {"seconds_min", *std::min_element(seconds.begin(), seconds.end())},
          {"seconds_max", *std::max_element(seconds.begin(), seconds.end())},
          {"flops", flops},
          {"bytes", bytes},
          {"tflops", flops / middle * 1e-12},
          {"gbs", bytes / middle * 1e-9},
          {"commit", commit()}};
}

Json bench_emulated(const Case& which, const Kernel& kernel) {
  const TensorSet inputs = make_inputs(which.problem);
  TensorSet outputs = empty_outputs(which.problem);
  emulator::reset_statistics();
  kernel.run(which.problem, which.run, inputs, outputs);
  const double mma = static_cast<double>(emulator::statistics().mma);
  const std::vector<double> seconds =
      repeated_seconds("kernel", [&] { kernel.run(which.problem, which.run, inputs, outputs); });
  const double probe = mma_probe_seconds();
  Json row =
      row_of(which, device_name(Backend::emu), seconds, bytes_of(inputs) + bytes_of(outputs));
  row["mma"] = mma;
  row["probe_seconds"] = probe;
  row["probe_ratio"] = median(seconds) / (mma * probe);
  print_row(
      fmt::format("{} emulated", kernel.name), fmt::format("{:.0f} ms", median(seconds) * 1e3),
      fmt::format("{:.0f} ns a mma, {:.2f} x the mma probe  ({})", median(seconds) / mma * 1e9,
                  row["probe_ratio"].get<double>(), print(which.problem)));
  return row;
}

/// A kernel that leaves elements out is fast: looks at some thousand, and the last one.
void require_written(const Case& which, const Tensor& out) {
  const Index step = std::max<Index>(1, out.size() / 4001);
  for (Index n = out.size() - 1; n >= 0; n -= step)
    if (!std::isfinite(out.value(n)))
      throw InfraError(concat("bench: ", out.name(), " must be finite, got ", out.value(n),
                              " at element ", n, " of ", print(which), "; run the gate first"));
}

Json bench_on_gpu(const Case& which, const Kernel& kernel) {
  const TensorSet inputs = make_inputs(which.problem);
  TensorSet outputs = empty_outputs(which.problem);
  std::this_thread::sleep_for(kRest);
  const LaunchTimes times = kernel.time(which.problem, which.run, inputs, outputs, kGpuSeconds);
  for (const Tensor& out : outputs) require_written(which, out);

  const DeviceInfo device = device_info(Backend::gpu);
  const Peaks peaks = peaks_of(device);
  Json row = row_of(which, device.name, times.cold, bytes_of(inputs) + bytes_of(outputs));
  const double seconds = row["seconds"];
  const Roofline roof = roofline(peaks, row["flops"], row["bytes"], seconds);
  row["seconds_warm"] = median(times.warm);
  row["roof"] = roof.roof.empty() ? Json(nullptr) : Json(roof.roof);
  row["roofline_fraction"] = positive_or_null(roof.fraction);
  row["peak_tflops"] = positive_or_null(peaks.flops * 1e-12);
  row["peak_gbs"] = positive_or_null(peaks.bytes * 1e-9);
  row["peak_source"] = peaks.source;
  const std::string share =
      roof.roof.empty() ? "no roofline"
                        : fmt::format("{:.0f} % of the {} roof", 100 * roof.fraction, roof.roof);
  print_row(fmt::format("{} on {}", kernel.name, device.name),
            fmt::format("{:.1f} us", seconds * 1e6),
            fmt::format("{:.0f} TFLOP/s, {:.0f} GB/s, {}, warm {:.1f} us  ({})",
                        row["tflops"].get<double>(), row["gbs"].get<double>(), share,
                        median(times.warm) * 1e6, print(which.problem)));
  return row;
}

/// The cases of a backend that the options keep, with the backend set.
std::vector<Case> cases_of(Backend backend, const KernelBenchOptions& options) {
  if (device_name(backend).empty())
    throw InfraError(concat("bench: backend ", name(backend), " needs a ",
                            has_gpu_build() ? "GPU, found none" : "build with a CUDA toolkit",
                            "; run attest doctor"));
  Selection selection;
  selection.sources = bench_problems(backend);
  selection.match = options.match;
  std::vector<Case> cases = select(selection);
  for (Case& c : cases) c.run.backend = backend;
  return cases;
}

}  // namespace

std::size_t bench_kernels(const KernelBenchOptions& options) {
  std::vector<Case> cases;
  for (const std::string& word : split_commas(options.backends))
    for (const Case& c : cases_of(parse_backend(word), options)) cases.push_back(c);
  if (cases.empty())
    std::cerr << "attest: bench: the selection must keep at least one case, got none; "
                 "loosen --match\n";

  std::ofstream json;
  const auto require_json = [&] {
    if (!options.json.empty() && !json)
      throw InfraError(concat("bench: ", options.json, " must be writable, got an error"));
  };
  if (!options.json.empty()) json.open(options.json);
  require_json();
  for (const Case& c : cases) {
    const Kernel& kernel = find_kernel(c.run.kernel, c.run.backend);
    const Json row =
        c.run.backend == Backend::emu ? bench_emulated(c, kernel) : bench_on_gpu(c, kernel);
    if (json.is_open()) json << row.dump() << '\n' << std::flush;
    require_json();
  }
  return cases.size();
}

}  // namespace attest
