// The stages of a layer that only move data or multiply it by its gate.
//
//   copy_kernel    grid (chunks of 16 bytes / 128)     one chunk a thread
//   gate_kernel    grid (elements / 128)               one element a thread
//
// The gate is fp32 and rounds to T once. Its sigmoid takes e = exp(-|x|), which cannot overflow:
// 1 / (1 + e), or e / (1 + e) where x < 0.
#include "cuda/kernels/elementwise.h"
#include "cuda/tile/head_group.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kThreads = 128;

struct alignas(16) Chunk {
  std::uint16_t x[8];
};

unsigned blocks_of(std::int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

__device__ inline std::int64_t thread_of_grid() {
  return std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
}

__global__ void __launch_bounds__(kThreads) copy_kernel(const CopyParams p) {
  const std::int64_t n = thread_of_grid();
  const int chunks = p.width / 8, chunk = static_cast<int>(n % chunks);
  const int h = static_cast<int>(n / chunks % p.heads);
  const std::int64_t bs = n / chunks / p.heads;
  const int b = static_cast<int>(bs / p.S), s = static_cast<int>(bs % p.S);
  if (b >= p.B || (p.lens != nullptr && s >= p.lens[b])) return;

  const auto* x_g = static_cast<const std::uint16_t*>(p.x) + h * p.x_stride.h;
  auto* y_g =
      static_cast<std::uint16_t*>(p.y) + b * p.y_stride.b + s * p.y_stride.s + h * p.y_stride.h;
  const bool paged = p.block_table != nullptr;
  const KeyRows<std::uint16_t> rows{
      paged ? x_g : x_g + b * p.x_stride.b,
      p.x_stride,
      paged ? p.block_table + b * std::int64_t{p.pages_per_row} : nullptr,
      p.page,
      0,
      p.S,
      p.width};
  reinterpret_cast<Chunk*>(y_g)[chunk] = reinterpret_cast<const Chunk*>(rows.row(s))[chunk];
}

template <class T>
__global__ void __launch_bounds__(kThreads) gate_kernel(const GateParams p) {
  const std::int64_t n = thread_of_grid();
  const int group_size = p.heads * p.width;
  const std::int64_t token = n / group_size / p.groups;
  if (token >= p.tokens) return;
  const std::int64_t g = n / group_size % p.groups;
  const T* gate_g = static_cast<const T*>(p.gate) + token * p.gate_token + g * p.gate_group;
  const float x = simt::to_float(gate_g[n % group_size]);
  const float e = expf(-fabsf(x));
  const float sigmoid = (x < 0.0f ? e : 1.0f) / (1.0f + e);
  static_cast<T*>(p.y)[n] =
      simt::from_float<T>(simt::to_float(static_cast<const T*>(p.o)[n]) * sigmoid);
}

template <class T>
void launch(const GateParams& p) {
  const std::int64_t elements = std::int64_t{p.tokens} * p.groups * p.heads * p.width;
  simt::launch(gate_kernel<T>,
               simt::LaunchShape{
                   .grid = dim3(blocks_of(elements)), .block = dim3(kThreads), .smem_bytes = 0},
               p);
}

}  // namespace

void launch_copy(const CopyParams& p) {
  const std::int64_t chunks = std::int64_t{p.B} * p.S * p.heads * (p.width / 8);
  simt::launch(
      copy_kernel,
      simt::LaunchShape{.grid = dim3(blocks_of(chunks)), .block = dim3(kThreads), .smem_bytes = 0},
      p);
}

void launch_gate(Dtype dtype, const GateParams& p) {
  dtype == Dtype::bf16 ? launch<simt::bf16>(p) : launch<simt::half>(p);
}

}  // namespace attest::ATTEST_BACKEND
