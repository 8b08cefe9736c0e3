// Kernels of one primitive each, and their host sides: simt_primitives.h says what they do, the
// tests that include it what must come out.
#include <span>

#include "cases/error.h"
#include "cuda/simt/device_memory.h"
#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"
#include "tests/cuda/simt_primitives.h"

namespace attest::ATTEST_BACKEND::primitives {
namespace {

constexpr unsigned kLanes = 32, kThreads = 256;
using Word = std::uint32_t;

template <class T>
struct Input : simt::DeviceInput {
  explicit Input(const std::vector<T>& host) : simt::DeviceInput(std::as_bytes(std::span(host))) {}
  const T* data() const { return this->template as<T>(); }
};

template <class T>
struct Output : simt::DeviceOutput {
  explicit Output(std::vector<T>& host)
      : simt::DeviceOutput(std::as_writable_bytes(std::span(host))) {}
  T* data() const { return this->template as<T>(); }
};

struct Matrices {
  alignas(16) std::uint16_t rows[kLanes][8];
};

__global__ void ldmatrix_kernel(bool transposed, bool behind_another, const std::uint16_t* rows_g,
                                const Word* row_g, Word* r_g) {
  Matrices* s = simt::dynamic_shared<Matrices>();
  const unsigned lane = threadIdx.x;
  for (int c = 0; c < 8; ++c) s->rows[lane][c] = rows_g[8 * lane + c];
  __syncthreads();
  Word r[2][4] = {};  // not what an earlier launch left on the stack
  const void* const row_s[2] = {s->rows[lane], s->rows[row_g[lane]]};
  if (behind_another)
    transposed ? simt::ldmatrix_x4_trans(r, row_s) : simt::ldmatrix_x4(r, row_s);
  else
    transposed ? simt::ldmatrix_x4_trans(r[1], row_s[1]) : simt::ldmatrix_x4(r[1], row_s[1]);
  for (int m = 0; m < 4; ++m) r_g[4 * lane + m] = r[1][m];
}

template <class T, int kTiles>
__global__ void mma_kernel(const Word* a_g, const Word* b_g, float* d_g) {
  const unsigned at = kLanes * blockIdx.x + threadIdx.x;
  Word a[4], b[2 * kTiles];
  float d[kTiles][4];
  for (int r = 0; r < 4; ++r) a[r] = a_g[4 * at + r];
  for (int r = 0; r < 2 * kTiles; ++r) b[r] = b_g[2 * kTiles * at + r];
  for (int n = 0; n < kTiles; ++n)
    for (int r = 0; r < 4; ++r) d[n][r] = d_g[4 * (kTiles * at + n) + r];
  simt::mma<kTiles, T>(d, a, b);
  for (int n = 0; n < kTiles; ++n)
    for (int r = 0; r < 4; ++r) d_g[4 * (kTiles * at + n) + r] = d[n][r];
}

template <class T>
__global__ void shuffle_kernel(Shuffle mode, Word mask, int operand, int width, T* values_g) {
  const unsigned lane = threadIdx.x;
  if ((mask >> lane & 1) == 0) return;
  const T mine = values_g[lane];
  if (mode == Shuffle::index)
    values_g[lane] = __shfl_sync(mask, mine, operand, width);
  else if (mode == Shuffle::exclusive_or)
    values_g[lane] = __shfl_xor_sync(mask, mine, operand, width);
  else
    values_g[lane] = __shfl_down_sync(mask, mine, static_cast<unsigned>(operand), width);
}

__global__ void ballot_kernel(Word mask, Word predicates, Word* votes_g) {
  const unsigned lane = threadIdx.x;
  if ((mask >> lane & 1) != 0) votes_g[lane] = __ballot_sync(mask, (predicates >> lane & 1) != 0);
}

template <class T>
__global__ void to_float_kernel(const std::uint16_t* x_g, float* result_g, unsigned count) {
  const unsigned n = blockIdx.x * blockDim.x + threadIdx.x;
  if (n < count) result_g[n] = simt::to_float(T{static_cast<decltype(T::bits)>(x_g[n])});
}

template <class T>
__global__ void from_float_kernel(const float* x_g, std::uint16_t* result_g, unsigned count) {
  const unsigned n = blockIdx.x * blockDim.x + threadIdx.x;
  if (n < count) result_g[n] = simt::from_float<T>(x_g[n]).bits;
}

template <class T>
__global__ void pack_kernel(const float* low_g, const float* high_g, Word* result_g,
                            unsigned count) {
  const unsigned n = blockIdx.x * blockDim.x + threadIdx.x;
  if (n < count) result_g[n] = simt::pack<T>(low_g[n], high_g[n]);
}

__global__ void exp2_kernel(const float* x_g, float* result_g, unsigned count) {
  const unsigned n = blockIdx.x * blockDim.x + threadIdx.x;
  if (n < count) result_g[n] = simt::exp2_approx(x_g[n]);
}

struct Vectors {
  alignas(16) Word word[2 * kLanes][4];
};

__global__ void cp_async_kernel(std::uint64_t in_range, const Word* source_g, Word* result_g) {
  Vectors* s = simt::dynamic_shared<Vectors>();
  const unsigned first = threadIdx.x, second = kLanes + threadIdx.x;
  for (const unsigned n : {first, second}) {
    const bool valid = (in_range >> n & 1) != 0;
    simt::cp_async_16(s->word[n], valid ? source_g + 4 * n : nullptr, valid);
    simt::cp_async_commit();
  }
  simt::cp_async_wait<1>();
  for (int w = 0; w < 4; ++w) result_g[4 * first + w] = s->word[first][w];
  simt::cp_async_wait<0>();
  for (int w = 0; w < 4; ++w) result_g[4 * second + w] = s->word[second][w];
}

__global__ void indices_kernel(Word* result_g) {
  const dim3 thread(threadIdx.x, threadIdx.y, threadIdx.z);
  const dim3 block(blockIdx.x, blockIdx.y, blockIdx.z);
  const dim3 size(blockDim.x, blockDim.y, blockDim.z), grid(gridDim.x, gridDim.y, gridDim.z);
  const unsigned block_at = (block.z * grid.y + block.y) * grid.x + block.x;
  const unsigned thread_at = (thread.z * size.y + thread.y) * size.x + thread.x;
  Word* mine = result_g + 12 * (block_at * size.x * size.y * size.z + thread_at);
  for (const dim3& each : {thread, block, size, grid}) {
    *mine++ = each.x;
    *mine++ = each.y;
    *mine++ = each.z;
  }
}

__global__ void reversed_kernel(std::size_t bytes, Word* result_g) {
  Word* s = simt::dynamic_shared<Word>() + bytes / sizeof(Word) - kThreads;
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  result_g[threadIdx.x] = s[kThreads - 1 - threadIdx.x];
}

/// One warp a block, or all elements over blocks of kThreads.
simt::LaunchShape warps(unsigned blocks, std::size_t smem_bytes = 0) {
  return {dim3(blocks), dim3(kLanes), smem_bytes};
}
simt::LaunchShape elements(std::size_t count) {
  return {dim3(static_cast<unsigned>((count + kThreads - 1) / kThreads)), dim3(kThreads), 0};
}

template <class T, int kTiles>
void launch_mma(const Words& a, const Words& b, Floats& d) {
  const Input a_g(a), b_g(b);
  Output d_g(d);
  const auto trials = static_cast<unsigned>(a.size() / (kLanes * 4));
  simt::launch(mma_kernel<T, kTiles>, warps(trials), a_g.data(), b_g.data(), d_g.data());
  d_g.copy_back();
}

/// Launches kernel(in..., out, count), a thread for each element.
template <class Kernel, class Out, class... In>
std::vector<Out> map(Kernel kernel, std::vector<Out> out, const Input<In>&... in) {
  Output<Out> out_g(out);
  simt::launch(kernel, elements(out.size()), in.data()..., out_g.data(),
               static_cast<unsigned>(out.size()));
  out_g.copy_back();
  return out;
}

}  // namespace

Words ldmatrix(bool transposed, bool behind_another, const Halves& rows,
               const std::array<Word, 32>& row_of_lane) {
  const Words row(row_of_lane.begin(), row_of_lane.end());
  Words r(kLanes * 4);
  const Input rows_g(rows);
  const Input row_g(row);
  Output r_g(r);
  simt::launch(ldmatrix_kernel, warps(1, sizeof(Matrices)), transposed, behind_another,
               rows_g.data(), row_g.data(), r_g.data());
  r_g.copy_back();
  return r;
}

Floats mma(Dtype dtype, int tiles, const Words& a, const Words& b, const Floats& d) {
  Floats result = d;
  if (tiles != 1 && tiles != 8) throw Error(concat("mma: tiles must be 1 or 8, got ", tiles));
  if (dtype == Dtype::bf16)
    tiles == 1 ? launch_mma<simt::bf16, 1>(a, b, result) : launch_mma<simt::bf16, 8>(a, b, result);
  else
    tiles == 1 ? launch_mma<simt::half, 1>(a, b, result) : launch_mma<simt::half, 8>(a, b, result);
  return result;
}

template <class T>
std::vector<T> shuffle(Shuffle mode, Word mask, int operand, int width,
                       const std::vector<T>& values) {
  std::vector<T> result = values;
  Output result_g(result);
  simt::launch(shuffle_kernel<T>, warps(1), mode, mask, operand, width, result_g.data());
  result_g.copy_back();
  return result;
}

template Words shuffle(Shuffle, Word, int, int, const Words&);
template Floats shuffle(Shuffle, Word, int, int, const Floats&);
template std::vector<std::uint64_t> shuffle(Shuffle, Word, int, int,
                                            const std::vector<std::uint64_t>&);

Words ballot(Word mask, Word predicates) {
  Words votes(kLanes);
  Output votes_g(votes);
  simt::launch(ballot_kernel, warps(1), mask, predicates, votes_g.data());
  votes_g.copy_back();
  return votes;
}

Floats to_float(Dtype dtype, const Halves& x) {
  const auto kernel = dtype == Dtype::bf16   ? to_float_kernel<simt::bf16>
                      : dtype == Dtype::fp16 ? to_float_kernel<simt::half>
                      : dtype == Dtype::e4m3 ? to_float_kernel<simt::e4m3>
                                             : to_float_kernel<simt::e5m2>;
  return map(kernel, Floats(x.size()), Input(x));
}

Halves from_float(Dtype dtype, const Floats& x) {
  return map(dtype == Dtype::bf16 ? from_float_kernel<simt::bf16> : from_float_kernel<simt::half>,
             Halves(x.size()), Input(x));
}

Words pack(Dtype dtype, const Floats& low, const Floats& high) {
  return map(dtype == Dtype::bf16 ? pack_kernel<simt::bf16> : pack_kernel<simt::half>,
             Words(low.size()), Input(low), Input(high));
}

Floats exp2_approx(const Floats& x) { return map(exp2_kernel, Floats(x.size()), Input(x)); }

Words cp_async(std::uint64_t in_range, const Words& source) {
  Words result(source.size());
  const Input source_g(source);
  Output result_g(result);
  simt::launch(cp_async_kernel, warps(1, sizeof(Vectors)), in_range, source_g.data(),
               result_g.data());
  result_g.copy_back();
  return result;
}

Words indices(const std::array<unsigned, 3>& grid, const std::array<unsigned, 3>& block) {
  Words result(std::size_t{12} * grid[0] * grid[1] * grid[2] * block[0] * block[1] * block[2]);
  Output result_g(result);
  simt::launch(
      indices_kernel,
      simt::LaunchShape{dim3(grid[0], grid[1], grid[2]), dim3(block[0], block[1], block[2]), 0},
      result_g.data());
  result_g.copy_back();
  return result;
}

Words reversed(std::size_t bytes) {
  Words result(kThreads);
  Output result_g(result);
  simt::launch(reversed_kernel, simt::LaunchShape{dim3(1), dim3(kThreads), bytes}, bytes,
               result_g.data());
  result_g.copy_back();
  return result;
}

}  // namespace attest::ATTEST_BACKEND::primitives
