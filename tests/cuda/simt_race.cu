// Races that the race build finds although the values come out right. Compiled like a kernel, so
// that each access is watched.
#include <string>
#include <string_view>
#include <vector>

#include "cases/error.h"
#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"
#include "tests/catch.h"

namespace attest::ATTEST_BACKEND {
namespace {

using Word = std::uint32_t;

constexpr unsigned kThreads = 64;
constexpr int kSync = 1, kNoSync = 0;

struct alignas(16) Vector {
  Word word[4];
};

/// Lines that the report must name, marked by kernels just before them. All threads do so, which
/// must not count as a race.
int now_line, before_line;
[[gnu::noinline, gnu::no_sanitize_thread]] void mark(int& line, int value) { line = value; }

/// Runs kernel(args...) on one block; the report, or "" where nothing was wrong.
template <class Kernel, class... Arguments>
std::string run(Kernel kernel, Schedule schedule, Arguments... arguments) {
  std::string report;
  emulator::set_schedule(schedule);
  try {
    simt::launch(kernel, simt::LaunchShape{dim3(1), dim3(kThreads), 4096}, arguments...);
  } catch (const KernelFault& fault) {
    report = fault.what();
    CHECK(fault.kind() == FaultKind::race);
  }
  emulator::set_schedule(0);
  return report;
}

std::string at(int line) { return concat("at simt_race.cu:", line); }

/// Checks that the parts occur in this order, and that both lines are named.
void check_report(const std::string& report, std::initializer_list<std::string_view> parts) {
  CAPTURE(report, now_line, before_line);
  std::size_t from = 0;
  for (const std::string_view part : parts) {
    CAPTURE(part);
    const std::size_t found = report.find(part, from);
    REQUIRE(found != std::string::npos);
    from = found + part.size();
  }
}

/// Warp 0 writes for warp 1; under schedule 0 warp 0 runs first and the values are right.
__global__ void write_read_kernel(Word* result_g, int sync) {
  Word* s = simt::dynamic_shared<Word>();
  mark(before_line, __LINE__ + 1);
  if (threadIdx.x < 32) s[threadIdx.x] = threadIdx.x;
  if (sync == kSync) __syncthreads();
  mark(now_line, __LINE__ + 1);
  if (threadIdx.x >= 32) result_g[threadIdx.x] = s[63 - threadIdx.x];
}

TEST_CASE("a read that no barrier orders after a write is a race", "[simt][race]") {
  Word result[kThreads] = {};
  CHECK(run(write_read_kernel, 0, &result[0], kSync) == "");
  for (Word t = 32; t < kThreads; ++t) CHECK(result[t] == 63 - t);
  check_report(run(write_read_kernel, 0, &result[0], kNoSync),
               {"race: thread 32 (warp 1 lane 0) reads byte 124 of shared memory ", at(now_line),
                ", which thread 31 (warp 0 lane 31) has written ", at(before_line),
                " with no barrier in between [block (0,0,0)]", "launched at simt_race.cu:"});
}

/// The other way round: warp 1 writes over what warp 0 has read.
__global__ void read_write_kernel(Word* result_g, int sync) {
  Word* s = simt::dynamic_shared<Word>();
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  mark(before_line, __LINE__ + 1);
  if (threadIdx.x < 32) result_g[threadIdx.x] = s[threadIdx.x + 32];
  if (sync == kSync) __syncthreads();
  mark(now_line, __LINE__ + 1);
  if (threadIdx.x >= 32) s[threadIdx.x] = 1000;
}

TEST_CASE("a write that no barrier orders after a read is a race", "[simt][race]") {
  Word result[kThreads] = {};
  CHECK(run(read_write_kernel, 0, &result[0], kSync) == "");
  check_report(run(read_write_kernel, 0, &result[0], kNoSync),
               {"race: thread 32 (warp 1 lane 0) writes byte 128 of shared memory ", at(now_line),
                ", which thread 0 (warp 0 lane 0) has read ", at(before_line)});
}

__global__ void write_write_kernel(int sync) {
  Word* s = simt::dynamic_shared<Word>();
  mark(before_line, __LINE__ + 1), mark(now_line, __LINE__ + 1);
  if (threadIdx.x % 32 == 5) s[7] = 1;  // the same value
  if (sync == kSync) __syncthreads();
}

TEST_CASE("two writes without a barrier are a race, even of equal values", "[simt][race]") {
  const std::string report = run(write_write_kernel, 1, kSync);
  check_report(report,
               {"race: thread 5 (warp 0 lane 5) writes byte 28 of shared memory ", at(now_line),
                ", which thread 37 (warp 1 lane 5) has written ", at(before_line)});
}

enum class Order { none, shuffle, warp, half_warp };

/// Lanes of one warp pass words to their neighbours.
__global__ void lanes_kernel(Word* result_g, Order order) {
  Word* s = simt::dynamic_shared<Word>() + threadIdx.x / 32 * 32;
  const unsigned lane = threadIdx.x % 32;
  s[lane] = lane;
  if (order == Order::shuffle) __shfl_xor_sync(0xffffffffu, lane, 1);
  if (order == Order::warp) __syncwarp();
  if (order == Order::half_warp) __syncwarp(lane < 16 ? 0xffffu : 0xffff0000u);
  result_g[threadIdx.x] = s[lane ^ (order == Order::half_warp && lane % 16 == 3 ? 16 : 1)];
}

TEST_CASE("lanes are ordered by a __syncwarp of both, and by nothing else", "[simt][race]") {
  Word result[kThreads] = {};
  CHECK(run(lanes_kernel, 0, &result[0], Order::warp) == "");
  check_report(
      run(lanes_kernel, 0, &result[0], Order::none),
      {"race: thread 1 (warp 0 lane 1) writes byte 4 ", "thread 0 (warp 0 lane 0) has read"});
  check_report(
      run(lanes_kernel, 0, &result[0], Order::shuffle),
      {"race: thread 0 (warp 0 lane 0) reads byte 4 ", "thread 1 (warp 0 lane 1) has written"});
  check_report(
      run(lanes_kernel, 0, &result[0], Order::half_warp),
      {"race: thread 19 (warp 0 lane 19) writes byte 76 ", "thread 3 (warp 0 lane 3) has read"});
}

/// Warp 0 copies, warp 1 reads once warp 0 has waited.
__global__ void copy_kernel(Word* result_g, const Vector* source_g, int sync) {
  Vector* s = simt::dynamic_shared<Vector>();
  if (threadIdx.x < 32) {
    mark(before_line, __LINE__ + 1);
    simt::cp_async_16(&s[threadIdx.x], &source_g[threadIdx.x], true);
    simt::cp_async_commit();
    simt::cp_async_wait<0>();
  }
  if (sync == kSync) __syncthreads();
  mark(now_line, __LINE__ + 1);
  if (threadIdx.x >= 32) result_g[threadIdx.x] = s[threadIdx.x - 32].word[1];
}

TEST_CASE("a copy that has landed for one warp has not for others", "[simt][race]") {
  Word result[kThreads] = {};
  Vector source[32] = {};
  const Vector* source_g = source;
  CHECK(run(copy_kernel, 0, &result[0], source_g, kSync) == "");
  check_report(run(copy_kernel, 0, &result[0], source_g, kNoSync),
               {"race: thread 32 (warp 1 lane 0) reads byte 4 of shared memory ", at(now_line),
                ", which thread 0 (warp 0 lane 0) has filled by cp.async ", at(before_line),
                " with no barrier after its wait"});
}

enum class Touch { read, write, copy, ldmatrix };

/// A thread touches bytes that its own copy may be writing.
__global__ void touch_kernel(const Vector* source_g, Touch touch, int wait) {
  Vector* s = simt::dynamic_shared<Vector>();
  const unsigned t = threadIdx.x;
  mark(before_line, __LINE__ + 1);
  simt::cp_async_16(&s[t], source_g, true);
  simt::cp_async_commit();
  if (wait == kSync) simt::cp_async_wait<0>();
  if (wait == kSync) __syncthreads();
  Word r[4] = {};
  mark(now_line, __LINE__ + 1);
  if (touch == Touch::write) s[t].word[3] = 7;
  if (touch == Touch::copy) simt::cp_async_16(&s[t], source_g, true);
  if (touch == Touch::ldmatrix) simt::ldmatrix_x4(r, &s[t]);
  if (touch == Touch::read) r[0] = s[t].word[2];
  simt::cp_async_commit();
  simt::cp_async_wait<0>();
  if (r[0] == 12345) s[t].word[0] = 0;  // r is used
}

TEST_CASE("nobody may touch a copy's destination before the wait", "[simt][race]") {
  const Vector source{};
  const auto line = [](int n) { return at(now_line + n); };
  const auto check = [&](Touch touch, std::string_view verb, int n) {
    CHECK(run(touch_kernel, 0, &source, touch, kSync) == "");
    check_report(run(touch_kernel, 0, &source, touch, kNoSync),
                 {verb, " of shared memory ", line(n), ", which thread ", " fills by cp.async ",
                  at(before_line), " and has not waited for"});
  };
  check(Touch::write, "thread 0 (warp 0 lane 0) writes byte 12", 0);
  check(Touch::copy, "thread 0 (warp 0 lane 0) starts a cp.async to byte 0", 1);
  check(Touch::ldmatrix, "thread 0 (warp 0 lane 0) reads byte 0", 2);
  check(Touch::read, "thread 0 (warp 0 lane 0) reads byte 8", 3);
}

enum class Rows { own, shared_by_blocks, shared_by_warps, shared_after_barrier };

/// Each block writes a row of one word a thread.
__global__ void rows_kernel(Word* rows_g, Rows rows) {
  const unsigned block = rows == Rows::shared_by_blocks ? blockIdx.x / 2 : blockIdx.x;
  const unsigned t = rows == Rows::shared_by_warps ? threadIdx.x % 32 : threadIdx.x;
  mark(now_line, __LINE__ + 1);
  rows_g[kThreads * block + t] = 1;  // the same value, whoever comes last
  if (rows != Rows::shared_after_barrier) return;
  __syncthreads();
  rows_g[kThreads * block + kThreads - 1 - t] = 1;
}

TEST_CASE("two writes of one word in global memory are a race", "[simt][race]") {
  std::vector<Word> rows(4 * kThreads);
  const auto launch = [&](Rows kind) -> std::string {
    try {
      simt::launch(rows_kernel, simt::LaunchShape{dim3(4), dim3(kThreads), 0}, rows.data(), kind);
    } catch (const KernelFault& fault) {
      return fault.what();
    }
    return "";
  };
  CHECK(launch(Rows::own) == "");
  CHECK(launch(Rows::shared_after_barrier) == "");
  const std::string blocks = launch(Rows::shared_by_blocks);
  check_report(blocks, {"race: thread 0 (warp 0 lane 0) of block 0 ", at(now_line),
                        " and thread 0 (warp 0 lane 0) of block 1 ", at(now_line),
                        " write the same global memory in one launch"});
  const std::string warps = launch(Rows::shared_by_warps);
  check_report(warps, {"race: thread 0 (warp 0 lane 0) of block 0 ", at(now_line),
                       " and thread 32 (warp 1 lane 0) of block 0 ", at(now_line)});
  CHECK(launch(Rows::own) == "");
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
