#include "harness/bench_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/simt/probe.h"
#include "harness/bench.h"
#include "harness/bench_roofline.h"
#include "harness/version.h"

namespace attest {
namespace {

Json positive_or_null(double value) { return value > 0 ? Json(value) : Json(nullptr); }

}  // namespace

JsonRows::JsonRows(const std::string& path) : path_(path) {
  if (!path_.empty()) file_.open(path_);
  require_good();
}

void JsonRows::write(const Json& row) {
  if (path_.empty()) return;
  file_ << row.dump() << '\n' << std::flush;
  require_good();
}

void JsonRows::require_good() const {
  if (!path_.empty() && !file_)
    throw InfraError(concat("bench: ", path_, " must be writable, got an error"));
}

Json row_of(const BenchSubject& subject, const std::string& device,
            const std::vector<double>& seconds) {
  const double middle = median(seconds);
  return {{"schema", 1},
          {"case", subject.text},
          {"kernel", subject.kernel},
          {"backend", name(subject.backend)},
          {"device", device},
          {"launches", seconds.size()},
          {"seconds", middle},
          {"seconds_min", *std::min_element(seconds.begin(), seconds.end())},
          {"seconds_max", *std::max_element(seconds.begin(), seconds.end())},
          {"flops", subject.flops},
          {"bytes", subject.bytes},
          {"tflops", subject.flops / middle * 1e-12},
          {"gbs", subject.bytes / middle * 1e-9},
          {"commit", commit()}};
}

void finish_emulated_row(Json& row, double mma, const std::string& remark) {
  const double seconds = row["seconds"], probe = mma_probe_seconds();
  row["mma"] = mma;
  row["probe_seconds"] = probe;
  row["probe_ratio"] = seconds / (mma * probe);
  print_row(fmt::format("{} emulated", row["kernel"].get<std::string>()),
            fmt::format("{:.1f} ms", seconds * 1e3),
            fmt::format("{:.0f} ns a mma, {:.2f} x the mma probe  ({})", seconds / mma * 1e9,
                        row["probe_ratio"].get<double>(), remark));
}

void finish_gpu_row(Json& row, const std::vector<double>& warm, const std::string& remark) {
  const Peaks peaks = peaks_of(device_info(Backend::gpu));
  const double seconds = row["seconds"];
  const Roofline roof = roofline(peaks, row["flops"], row["bytes"], seconds);
  row["seconds_warm"] = median(warm);
  row["roof"] = roof.roof.empty() ? Json(nullptr) : Json(roof.roof);
  row["roofline_fraction"] = positive_or_null(roof.fraction);
  row["peak_tflops"] = positive_or_null(peaks.flops * 1e-12);
  row["peak_gbs"] = positive_or_null(peaks.bytes * 1e-9);
  row["peak_source"] = peaks.source;
  const std::string share =
      roof.roof.empty() ? "no roofline"
                        : fmt::format("{:.0f} % of the {} roof", 100 * roof.fraction, roof.roof);
  print_row(
      fmt::format("{} on {}", row["kernel"].get<std::string>(), row["device"].get<std::string>()),
      fmt::format("{:.1f} us", seconds * 1e6),
      fmt::format("{:.0f} TFLOP/s, {:.0f} GB/s, {}, warm {:.1f} us  ({})",
                  row["tflops"].get<double>(), row["gbs"].get<double>(), share, median(warm) * 1e6,
                  remark));
}

void require_written(const Tensor& out, const std::string& text) {
  const Index step = std::max<Index>(1, out.size() / 4001);
  for (Index n = out.size() - 1; n >= 0; n -= step)
    if (!std::isfinite(out.value(n)))
      throw InfraError(concat("bench: ", out.name(), " must be finite, got ", out.value(n),
                              " at element ", n, " of ", text, "; run the gate first"));
}

void require_device(Backend backend) {
  if (device_name(backend).empty())
    throw InfraError(concat("bench: backend ", name(backend), " needs a ",
                            has_gpu_build() ? "GPU, found none" : "build with a CUDA toolkit",
                            "; run attest doctor"));
}

}  // namespace attest
