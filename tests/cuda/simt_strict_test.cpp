// The emulator shows reads of what nobody wrote, waits that are missing or too weak, and missing
// barriers. Each kernel here is wrong in one way, and a GPU may well run it without a trace.
#include <algorithm>
#include <bit>
#include <string>

#include "cases/tensor.h"
#include "cuda/simt/device_memory.h"
#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"
#include "tests/catch.h"

namespace attest::ATTEST_BACKEND {
namespace {

using Word = std::uint32_t;
using Words = std::vector<Word>;

constexpr unsigned kThreads = 128, kWarps = kThreads / 32, kBlocks = 3;
constexpr Word kPoison = 0xffffffffu;  // a NaN in fp32; its halves are NaN in bf16 and fp16

struct alignas(16) Vector {
  Word word[4];
};

/// Runs one kernel(result_g, args...) under a schedule; result [count] starts as 0.
template <class Kernel, class... Arguments>
Words run(Kernel kernel, Schedule schedule, unsigned blocks, std::size_t count,
          std::size_t smem_bytes, Arguments... arguments) {
  Words result(count);
  emulator::set_schedule(schedule);
  simt::launch(kernel, simt::LaunchShape{dim3(blocks), dim3(kThreads), smem_bytes}, result.data(),
               arguments...);
  emulator::set_schedule(0);
  return result;
}

unsigned poisoned(const Words& words) {
  return static_cast<unsigned>(std::count(words.begin(), words.end(), kPoison));
}

// Memory that nobody wrote.

__global__ void read_then_write_kernel(Word* result_g) {
  Word* s = simt::dynamic_shared<Word>();
  result_g[kThreads * blockIdx.x + threadIdx.x] = s[threadIdx.x];
  s[threadIdx.x] = 1;
}

TEST_CASE("shared memory starts as NaN in every block", "[simt]") {
  const std::size_t count = kThreads * kBlocks;
  CHECK(run(read_then_write_kernel, 0, kBlocks, count, kThreads * sizeof(Word)) ==
        Words(count, kPoison));
}

__global__ void copy_kernel(Word* result_g, const Word* source_g) {
  result_g[threadIdx.x] = source_g[threadIdx.x];
}

TEST_CASE("memory that only kernels see starts as NaN", "[simt]") {
  const simt::DeviceScratch scratch(kThreads);
  CHECK(run(copy_kernel, 0, 1, kThreads, 0, scratch.as<Word>()) == Words(kThreads, kPoison));
}

__global__ void store_some_kernel(float* result_g, unsigned skipped) {
  if (threadIdx.x != skipped) result_g[threadIdx.x] = 1.0f;
}

TEST_CASE("an element that no thread stores stays NaN", "[simt]") {
  Tensor o("o", Dtype::fp32, "S", {kThreads});
  simt::DeviceOutput o_g(o);
  simt::launch(store_some_kernel, simt::LaunchShape{dim3(1), dim3(kThreads)}, o_g.as<float>(), 77u);
  o_g.copy_back();
  const auto values = o.as<float>();
  for (unsigned n = 0; n < kThreads; ++n) CHECK(std::isnan(values[n]) == (n == 77));
}

// cp.async.

enum class Wait { none, one_left, all, uncommitted };

/// Each thread fills two vectors with 1, then copies over them, a group each, and reads them back.
__global__ void wait_kernel(Word* result_g, const Vector* source_g, Wait wait) {
  Vector* s = simt::dynamic_shared<Vector>() + 2 * threadIdx.x;
  for (int n = 0; n < 2; ++n) {
    s[n] = {{1, 1, 1, 1}};
    simt::cp_async_16(&s[n], source_g + 2 * threadIdx.x + n, true);
    if (wait != Wait::uncommitted) simt::cp_async_commit();
  }
  if (wait == Wait::one_left) simt::cp_async_wait<1>();
  if (wait == Wait::all || wait == Wait::uncommitted) simt::cp_async_wait<0>();
  for (int n = 0; n < 2; ++n)
    for (int w = 0; w < 4; ++w) result_g[8 * threadIdx.x + 4 * n + w] = s[n].word[w];
  simt::cp_async_commit();
  simt::cp_async_wait<0>();
}

TEST_CASE("what cp.async writes is NaN until the wait for its group", "[simt]") {
  std::vector<Vector> source(2 * kThreads);
  for (Word n = 0; n < 2 * kThreads; ++n) source[n] = {{8 * n, 8 * n + 1, 8 * n + 2, 8 * n + 3}};
  const Wait wait = GENERATE(Wait::none, Wait::one_left, Wait::all, Wait::uncommitted);
  Words expected;
  for (Word n = 0; n < 2 * kThreads; ++n)
    for (const Word each : source[n].word)
      expected.push_back(wait == Wait::all || (wait == Wait::one_left && n % 2 == 0) ? each
                                                                                     : kPoison);
  CAPTURE(static_cast<int>(wait));
  CHECK(run(wait_kernel, 0, 1, 8 * kThreads, 2 * kThreads * sizeof(Vector),
            static_cast<const Vector*>(source.data()), wait) == expected);
}

/// Two tiles go through one stage; each thread reads its neighbour's part of each.
__global__ void one_stage_kernel(Word* result_g, const Vector* source_g, bool second_barrier) {
  Vector* s = simt::dynamic_shared<Vector>();
  const unsigned mine = threadIdx.x, other = (threadIdx.x + 32) % kThreads;
  for (unsigned tile = 0; tile < 2; ++tile) {
    simt::cp_async_16(&s[mine], source_g + kThreads * tile + mine, true);
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
    __syncthreads();
    result_g[kThreads * tile + mine] = s[other].word[0];
    if (second_barrier) __syncthreads();
  }
}

TEST_CASE("a stage that is overwritten while others read it shows", "[simt]") {
  std::vector<Vector> source(2 * kThreads);
  Words expected;
  for (Word n = 0; n < 2 * kThreads; ++n) {
    source[n] = {{n}};
    expected.push_back(n / kThreads * kThreads + (n + 32) % kThreads);
  }
  const Schedule schedule = GENERATE(Schedule{0}, Schedule{1}, Schedule{2});
  CAPTURE(schedule);
  const auto result = [&](bool second_barrier) {
    return run(one_stage_kernel, schedule, 1, 2 * kThreads, kThreads * sizeof(Vector),
               static_cast<const Vector*>(source.data()), second_barrier);
  };
  CHECK(result(true) == expected);
  CHECK(result(false) != expected);
}

// Order.

__global__ void order_kernel(Word* result_g, unsigned* next) { result_g[(*next)++] = threadIdx.x; }

TEST_CASE("schedules start with the lowest warp, with the highest, and shuffled", "[simt]") {
  const auto order = [](Schedule schedule) {
    unsigned next = 0;
    return run(order_kernel, schedule, 1, kThreads, 0, &next);
  };
  Words rising, falling;
  for (Word t = 0; t < kThreads; ++t) rising.push_back(t), falling.push_back(kThreads - 1 - t);
  CHECK(order(0) == rising);
  CHECK(order(1) == falling);
  const Words shuffled = order(2);
  CHECK(shuffled != rising);
  CHECK(shuffled != falling);
  CHECK(shuffled != order(3));
  CHECK(shuffled == order(2));
  CHECK(std::is_permutation(shuffled.begin(), shuffled.end(), rising.begin()));
}

enum class Barrier { block, warp, none };

/// Each thread writes a word and reads that of the thread `distance` further.
__global__ void neighbour_kernel(Word* result_g, unsigned distance, Barrier barrier) {
  Word* s = simt::dynamic_shared<Word>();
  s[threadIdx.x] = threadIdx.x;
  if (barrier == Barrier::block) __syncthreads();
  if (barrier == Barrier::warp) __syncwarp();
  result_g[threadIdx.x] = s[(threadIdx.x + distance) % kThreads];
}

TEST_CASE("a missing barrier shows under schedule 0 or 1, whichever way data flows", "[simt]") {
  const auto unwritten = [](unsigned distance, Barrier barrier, Schedule schedule) {
    return poisoned(
        run(neighbour_kernel, schedule, 1, kThreads, kThreads * sizeof(Word), distance, barrier));
  };
  for (const Schedule schedule : {0, 1, 2})
    for (const unsigned distance : {1u, 32u, kThreads - 32})
      CHECK(unwritten(distance, Barrier::block, schedule) == 0);

  const unsigned up = 32, down = kThreads - 32;  // the next warp's words, the previous one's
  for (const Barrier barrier : {Barrier::none, Barrier::warp}) {
    CHECK(unwritten(up, barrier, 0) == kThreads - 32);
    CHECK(unwritten(up, barrier, 1) == 32);  // warp 3 reads warp 0's, which runs last
    CHECK(unwritten(down, barrier, 0) == 32);
    CHECK(unwritten(down, barrier, 1) == kThreads - 32);
  }
  // Between lanes of a warp: lane 31's neighbour is in another warp.
  CHECK(unwritten(1, Barrier::none, 0) == kThreads - 1);
  CHECK(unwritten(kThreads - 1, Barrier::none, 1) == kThreads - 1);
  CHECK(unwritten(1, Barrier::warp, 0) == kWarps - 1);
}

/// A sum over the block: copies, shuffles, and a tree of barriers in shared memory.
__global__ void sum_kernel(Word* result_g, const Vector* source_g) {
  struct Plan {
    Vector tile[kThreads];
    float sum[kThreads];
  };
  Plan* s = simt::dynamic_shared<Plan>();
  const unsigned t = threadIdx.x;
  simt::cp_async_16(&s->tile[t], source_g + kThreads * blockIdx.x + t, true);
  simt::cp_async_commit();
  simt::cp_async_wait<0>();
  __syncthreads();
  float sum = 0;
  for (const Word each : s->tile[kThreads - 1 - t].word) sum += std::bit_cast<float>(each);
  for (int mask = 1; mask < 32; mask *= 2) sum += __shfl_xor_sync(kPoison, sum, mask);
  s->sum[t] = sum / static_cast<float>(t + 1);
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) s->sum[t] += s->sum[t + half];
  }
  if (t == 0) result_g[blockIdx.x] = std::bit_cast<Word>(s->sum[0]);
}

TEST_CASE("a correct kernel gives the same bits under every schedule", "[simt]") {
  std::vector<Vector> source(kThreads * kBlocks);
  for (Word n = 0; n < source.size(); ++n)
    for (Word w = 0; w < 4; ++w)
      source[n].word[w] = std::bit_cast<Word>(1.0f / static_cast<float>(4 * n + w + 1));
  const auto sums = [&](Schedule schedule) {
    return run(sum_kernel, schedule, kBlocks, kBlocks, kThreads * (sizeof(Vector) + sizeof(float)),
               static_cast<const Vector*>(source.data()));
  };
  const Words first = sums(0);
  for (const Word each : first) CHECK(std::bit_cast<float>(each) > 0.0f);
  for (Schedule schedule = 1; schedule < 32; ++schedule) {
    CAPTURE(schedule);
    CHECK(sums(schedule) == first);
  }
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
