// Matrix products of a layer: c = a w^T + bias on tensor cores.
//
//   grid (tiles of kRows rows, tiles of 128 columns, B heads)     block: 4 warps
//
//                  64 of K at a time, through two stages             warps of a block
//             +--------+         +--------+
//   a_s kRows |        |   x     |        | 128      kRows = 16        kRows = 64
//             +--------+    w_s  |        |        +--+--+--+--+     +-----------+ 0
//                                |        |        |0 |1 |2 |3 |     |           | 1
//                                +--------+        +--+--+--+--+     |           | 2
//                       kn: [64, 128], transposed   32 columns       |           | 3
//                           by ldmatrix                              +-----------+
//
// Few rows (decode) take blocks of 16, so that no mma multiplies more than 15 rows of zeros; the
// order of a sum is the same in both. Rows, columns and terms that do not exist are zero in shared
// memory. Shared memory: SharedPlan, 36 or 48 KiB. Rounds c to T; everything else is fp32.
#include "cases/error.h"
#include "cuda/kernels/gemm.h"
#include "cuda/tile/head_group.cuh"
#include "cuda/tile/mma_tile.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kStepK = 64, kSteps = kStepK / 16;
constexpr int kFewRows = 16, kManyRows = 64;

template <class T, WeightLayout kLayout>
struct WeightTile {
  SharedTile<T, kGemmColumns, kStepK> tile;  // a row for each column of c
};
template <class T>
struct WeightTile<T, WeightLayout::kn> {
  SharedTile<T, kStepK, kGemmColumns> tile;
};

template <class T, int kRows, WeightLayout kLayout>
struct SharedPlan {
  SharedTile<T, kRows, kStepK> a[2];
  WeightTile<T, kLayout> w[2];
};

/// The block's share of c: rows first_row .. and columns first_column .. of batch entry b, head h.
template <class T>
struct GemmBlock {
  const GemmParams& p;
  int b, h, first_row, first_column;

  __device__ int end_row() const { return p.lens == nullptr ? p.M : p.lens[b]; }

  __device__ KeyRows<T> a(int first_k) const {
    const T* a_g = static_cast<const T*>(p.a) + h * p.a_stride.h + first_k;
    const int width = p.K - first_k;
    if (p.block_table == nullptr)
      return {a_g + b * p.a_stride.b, p.a_stride, nullptr, 1, first_row, end_row(), width};
    const int* pages_g = p.block_table + b * std::int64_t{p.pages_per_row};
    return {a_g, p.a_stride, pages_g, p.page, first_row, end_row(), width};
  }
  template <WeightLayout kLayout>
  __device__ KeyRows<T> w(int first_k) const {
    const T* w_g = static_cast<const T*>(p.w) + h * p.w_stride.h;
    if (kLayout == WeightLayout::nk)
      return {w_g + first_k, p.w_stride, nullptr, 1, first_column, p.N, p.K - first_k};
    return {w_g + first_column, p.w_stride, nullptr, 1, first_k, p.K, p.N - first_column};
  }
  __device__ T* c(int row) const {
    return static_cast<T*>(p.c) + b * p.c_stride.b + (first_row + row) * p.c_stride.s +
           h * p.c_stride.h + first_column;
  }
};

/// Starts the copies of one step, as one group of cp.async.
template <class T, int kRows, WeightLayout kLayout>
__device__ inline void prefetch(SharedPlan<T, kRows, kLayout>& smem, const GemmBlock<T>& block,
                                int step) {
  copy_tile<kThreads>(smem.a[step % 2], block.a(step * kStepK));
  copy_tile<kThreads>(smem.w[step % 2].tile, block.template w<kLayout>(step * kStepK));
  simt::cp_async_commit();
}

/// c_r += a w^T over one step, for 16 rows and 8 kTiles columns of the block.
template <int kTiles, class T, int kRows, WeightLayout kLayout>
__device__ inline void multiply(float (&c_r)[kTiles][4], SharedTile<T, kRows, kStepK>& a_s,
                                WeightTile<T, kLayout>& w_s, int row, int column) {
  std::uint32_t a_r[kSteps][4];
  load_query(a_r, a_s, row);
  if constexpr (kLayout == WeightLayout::nk) {
    multiply_rows(c_r, a_r, w_s.tile, column);
  } else {
#pragma unroll
    for (int step = 0; step < kSteps; ++step)
      multiply_columns(c_r, a_r[step], w_s.tile, 16 * step, column);
  }
}

/// c of the lane's two rows, from `row` and `column` of the block on.
template <int kTiles, class T>
__device__ inline void store(const GemmBlock<T>& block, const float (&c_r)[kTiles][4], int row,
                             int column) {
  const T* bias_g = static_cast<const T*>(block.p.bias);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int r = row + fragment_row(half);
    if (block.first_row + r >= block.end_row()) continue;
    T* c_g = block.c(r);
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      const int n = column + fragment_column(j);
      if (block.first_column + n >= block.p.N) continue;
      float left = c_r[j][2 * half], right = c_r[j][2 * half + 1];
      if (bias_g != nullptr) {
        left += simt::to_float(bias_g[block.first_column + n]);
        right += simt::to_float(bias_g[block.first_column + n + 1]);
      }
      *reinterpret_cast<std::uint32_t*>(c_g + n) = simt::pack<T>(left, right);
    }
  }
}

template <class T, int kRows, WeightLayout kLayout>
__global__ void __launch_bounds__(kThreads) gemm_kernel(const GemmParams p) {
  constexpr int kRowWarps = kRows / kWarpRows;
  constexpr int kWarpColumns = kGemmColumns * kRowWarps / kWarps;
  auto& smem = *simt::dynamic_shared<SharedPlan<T, kRows, kLayout>>();
  const int bh = blockIdx.z;
  const GemmBlock<T> block{p, bh / p.heads, bh % p.heads, static_cast<int>(blockIdx.x) * kRows,
                           static_cast<int>(blockIdx.y) * kGemmColumns};
  if (block.first_row >= block.end_row()) return;
  const int row = warp_id() % kRowWarps * kWarpRows;
  const int column = warp_id() / kRowWarps * kWarpColumns;

  float c_r[kWarpColumns / 8][4];
  clear(c_r);
  const int steps = (p.K + kStepK - 1) / kStepK;
  prefetch(smem, block, 0);
  for (int step = 0; step < steps; ++step) {
    simt::cp_async_wait<0>();  // this thread's part of the step has landed;
    __syncthreads();           // all parts have, and no warp uses the other stage any more
    if (step + 1 < steps) prefetch(smem, block, step + 1);
    multiply(c_r, smem.a[step % 2], smem.w[step % 2], row, column);
  }
  store(block, c_r, row, column);
}

template <class T, int kRows, WeightLayout kLayout>
void launch(const GemmParams& p) {
  simt::launch(
      gemm_kernel<T, kRows, kLayout>,
      simt::LaunchShape{.grid = dim3((p.M + kRows - 1) / kRows,
                                     (p.N + kGemmColumns - 1) / kGemmColumns, p.B * p.heads),
                        .block = dim3(kThreads),
                        .smem_bytes = sizeof(SharedPlan<T, kRows, kLayout>)},
      p);
}

template <class T, WeightLayout kLayout>
void launch_rows(const GemmParams& p) {
  p.M <= kFewRows ? launch<T, kFewRows, kLayout>(p) : launch<T, kManyRows, kLayout>(p);
}

template <class T>
void launch_layout(WeightLayout layout, const GemmParams& p) {
  layout == WeightLayout::nk ? launch_rows<T, WeightLayout::nk>(p)
                             : launch_rows<T, WeightLayout::kn>(p);
}

}  // namespace

void launch_gemm(Dtype dtype, WeightLayout layout, const GemmParams& p) {
  ATTEST_CHECK(p.N % 8 == 0 && p.K % 8 == 0 && p.K > 0,
               "gemm: N and K must be positive multiples of 8, got N=", p.N, " K=", p.K);
  dtype == Dtype::bf16 ? launch_layout<simt::bf16>(layout, p)
                       : launch_layout<simt::half>(layout, p);
}

}  // namespace attest::ATTEST_BACKEND
