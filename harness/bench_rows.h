#pragma once

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "cases/case.h"
#include "cases/tensor.h"
#include "harness/json.h"

namespace attest {

/// The file that gets one line a row (ci/README.md).
class JsonRows {
 public:
  /// An empty path: rows go nowhere. Throws InfraError for a file that cannot be written.
  explicit JsonRows(const std::string& path);

  /// Throws InfraError when the file cannot take it.
  void write(const Json& row);

 private:
  void require_good() const;

  std::string path_;
  std::ofstream file_;
};

/// What was timed.
struct BenchSubject {
  std::string text;    ///< the case string, or the product
  std::string kernel;  ///< what ran
  Backend backend;
  double flops, bytes;
};

/// What every row has. seconds: of single launches.
Json row_of(const BenchSubject&, const std::string& device, const std::vector<double>& seconds);

/// Adds what an emulated row has and prints the row. mma: products of a warp in a launch.
void finish_emulated_row(Json& row, double mma, const std::string& remark);

/// Adds the roofline of the GPU and the warm times and prints the row.
void finish_gpu_row(Json& row, const std::vector<double>& warm, const std::string& remark);

/// On a GPU: seconds of launches, with caches overwritten and as long without.
constexpr double kGpuBenchSeconds = 0.2;

/// Between launches of one row and of the next: a hot GPU lowers its clocks.
constexpr std::chrono::milliseconds kBenchRest{500};

/// A kernel that leaves elements out is fast: looks at some thousand, and the last one. Throws
/// InfraError for one that is not finite. text: what ran.
void require_written(const Tensor& out, const std::string& text);

/// Throws InfraError for a backend that has no device.
void require_device(Backend);

}  // namespace attest
