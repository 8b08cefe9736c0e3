#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <regex>
#include <thread>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/multiplier.h"
#include "cuda/simt/emulator.h"
#include "harness/bench.h"
#include "harness/bench_problems.h"
#include "harness/bench_rows.h"
#include "harness/philox.h"
#include "harness/rounding.h"
#include "harness/selection.h"

namespace attest {
namespace {

/// [rows, columns] of standard deviation `deviation`.
Tensor noise(const char* name, Index rows, Index columns, double deviation) {
  Tensor tensor(name, Dtype::bf16, "NK", {rows, columns});
  const Stream stream(0, name);
  const Index row_bytes = columns * static_cast<Index>(size_of(tensor.dtype()));
  std::byte* const data = tensor.bytes().data();
#pragma omp parallel
  {
    std::vector<double> row(static_cast<std::size_t>(columns));
#pragma omp for schedule(static)
    for (Index n = 0; n < rows; ++n) {
      for (Index k = 0; k < columns; ++k)
        row[static_cast<std::size_t>(k)] = deviation * stream.at(0, n, 0, k).normal();
      encode(tensor.dtype(), row, data + n * row_bytes);
    }
  }
  return tensor;
}

/// The tensors of one product; values of c have variance 1.
struct Product {
  explicit Product(const GemmShape& s)
      : shape(s),
        a(noise("a", s.M, s.K, 1)),
        w(noise("w", s.N, s.K, 1 / std::sqrt(static_cast<double>(s.K)))) {}

  Tensor fresh_c() const { return Tensor("c", Dtype::bf16, "MN", {shape.M, shape.N}); }

  BenchSubject subject(const Multiplier& by) const {
    const double M = static_cast<double>(shape.M), N = static_cast<double>(shape.N),
                 K = static_cast<double>(shape.K);
    return {print(shape), std::string(by.name), by.backend, 2 * M * N * K,
            2 * (M * K + N * K + M * N)};
  }

  GemmShape shape;
  Tensor a, w;
};

Json bench_emulated(const Product& product, const Multiplier& ours) {
  Tensor c = product.fresh_c();
  const auto run = [&] { ours.run(product.a, product.w, c); };
  emulator::reset_statistics();
  run();
  const double mma = static_cast<double>(emulator::statistics().mma);
  Json row =
      row_of(product.subject(ours), device_name(Backend::emu), repeated_seconds("gemm", run));
  finish_emulated_row(row, mma, print(product.shape));
  return row;
}

Json bench_on_gpu(const Product& product, const Multiplier& by, Tensor& c) {
  std::this_thread::sleep_for(kBenchRest);
  const LaunchTimes times = by.time(product.a, product.w, c, kGpuBenchSeconds);
  require_written(c, print(product.shape));
  Json row = row_of(product.subject(by), device_name(Backend::gpu), times.cold);
  if (by.version != nullptr) row["version"] = by.version();
  finish_gpu_row(row, times.warm, print(product.shape));
  return row;
}

/// Some thousand elements, and the last: a product of other matrices has an error of size 1.
void require_same(const Tensor& ours, const Tensor& theirs, const std::string& text) {
  const Index step = std::max<Index>(1, ours.size() / 4001);
  for (Index n = ours.size() - 1; n >= 0; n -= step) {
    const double left = ours.value(n), right = theirs.value(n);
    if (!(std::abs(left - right) <= 0.02 + 0x1p-7 * std::abs(left)))
      throw InfraError(concat("bench: gemm and cublaslt must have the same product, got ", left,
                              " and ", right, " at element ", n, " of ", text,
                              "; run the gate first"));
  }
}

bool is_library(const Multiplier& by) { return by.version != nullptr; }

/// Libraries, beside ours.
void bench_others(const Product& product, const Tensor& ours, double seconds, JsonRows& rows) {
  const auto all = multipliers();
  if (std::none_of(all.begin(), all.end(), is_library))
    print_row("cublaslt", "not run", "the build found none");
  for (const Multiplier& by : all) {
    if (!is_library(by)) continue;
    if (const std::string missing = by.missing(); !missing.empty()) {
      print_row(std::string(by.name), "not run", missing);
      rows.write({{"schema", 1},
                  {"case", print(product.shape)},
                  {"kernel", by.name},
                  {"backend", "gpu"},
                  {"seconds", nullptr},
                  {"note", missing}});
      continue;
    }
    Tensor theirs = product.fresh_c();
    Json row = bench_on_gpu(product, by, theirs);
    require_same(ours, theirs, print(product.shape));
    const double ratio = row["seconds"].get<double>() / seconds;
    row[concat("ours_over_", by.name)] = ratio;
    print_row("", fmt::format("{:.2f} x", ratio), concat("of the speed of ", by.name));
    rows.write(row);
  }
}

void bench_shape(const GemmShape& shape, const Multiplier& ours, JsonRows& rows) {
  const Product product(shape);
  if (ours.backend == Backend::emu) return rows.write(bench_emulated(product, ours));
  Tensor c = product.fresh_c();
  const Json row = bench_on_gpu(product, ours, c);
  rows.write(row);
  bench_others(product, c, row["seconds"], rows);
}

const Multiplier& own_multiplier(Backend backend) {
  const auto all = multipliers();
  return *std::find_if(all.begin(), all.end(), [&](const Multiplier& by) {
    return by.backend == backend && !is_library(by);
  });
}

}  // namespace

std::size_t bench_gemm(const BenchSelection& selected, JsonRows& rows) {
  const std::regex match = compile_match(selected.match);
  std::size_t count = 0;
  for (const Backend backend : selected.backends)
    for (const GemmShape& shape : gemm_shapes(backend)) {
      if (!std::regex_search(print(shape), match)) continue;
      bench_shape(shape, own_multiplier(backend), rows);
      ++count;
    }
  const auto& backends = selected.backends;
  if (count > 0 && std::find(backends.begin(), backends.end(), Backend::gpu) == backends.end())
    print_row("gemm on a GPU, cublaslt beside it", "not run",
              !has_gpu_build()                    ? "no build with a CUDA toolkit"
              : device_name(Backend::gpu).empty() ? "no GPU"
                                                  : "add --backend gpu");
  return count;
}

}  // namespace attest
