// What no kernel may do ends as one KernelFault that says what, in which thread and on which line.
#include <string>
#include <string_view>

#include "cases/error.h"
#include "cuda/simt/device_memory.h"
#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"
#include "tests/catch.h"

namespace attest::ATTEST_BACKEND {
namespace {

using Word = std::uint32_t;
using simt::LaunchShape;

constexpr unsigned kThreads = 128;
constexpr Word kAll = 0xffffffffu, kLower = 0x0000ffffu, kUpper = 0xffff0000u;

struct alignas(16) Vector {
  Word word[4];
};

int faulty_line;  // set by kernels just before the line that a report must name

std::string here() { return concat(" at simt_faults_test.cpp:", faulty_line, ' '); }

LaunchShape one_block(unsigned threads = kThreads, std::size_t smem_bytes = 4096) {
  return {dim3(1), dim3(threads), smem_bytes};
}

/// Launches a kernel that must fail; the report.
template <class Kernel, class... Arguments>
KernelFault fault_of(Kernel kernel, const LaunchShape& shape, Arguments... arguments) {
  try {
    simt::launch(kernel, shape, arguments...);
  } catch (const KernelFault& fault) {
    return fault;
  }
  return {FaultKind::device, "no fault"};
}

/// Checks kind and text. Parts must occur in this order.
void check_report(const KernelFault& fault, FaultKind kind,
                  std::initializer_list<std::string_view> parts) {
  const std::string text = fault.what();
  CAPTURE(text);
  CHECK(fault.kind() == kind);
  std::size_t from = 0;
  for (const std::string_view part : parts) {
    CAPTURE(part);
    const std::size_t found = text.find(part, from);
    REQUIRE(found != std::string::npos);
    from = found + part.size();
  }
}

// Barriers and collectives.

__global__ void split_warp_kernel() {
  if (threadIdx.x % 32 < 16)
    __syncthreads();
  else
    __syncwarp();
}

TEST_CASE("half a warp at a barrier, half in a collective: a deadlock that names both", "[simt]") {
  const KernelFault fault = fault_of(split_warp_kernel, one_block(64));
  check_report(fault, FaultKind::deadlock,
               {"deadlock: no thread of block (0,0,0) can run",
                "threads 0..15 (warp 0 lane 0 to warp 0 lane 15): wait in __syncthreads at "
                "simt_faults_test.cpp:",
                "threads 16..31 (warp 0 lane 16 to warp 0 lane 31): wait in __syncwarp for lanes "
                "0-31 at simt_faults_test.cpp:",
                "threads 32..47 (warp 1", "__syncthreads", "threads 48..63 (warp 1", "__syncwarp"});
}

__global__ void some_exit_kernel(Word* result_g, unsigned first) {
  if (threadIdx.x < first) return;
  Word* s = simt::dynamic_shared<Word>();
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  const unsigned next = threadIdx.x + 1;
  result_g[threadIdx.x] = next < kThreads ? s[next] : s[first];
}

TEST_CASE("a barrier waits for the threads that have not exited", "[simt]") {
  const Schedule schedule = GENERATE(Schedule{0}, Schedule{1}, Schedule{2});
  const unsigned first = GENERATE(1u, 31u, 32u, 127u);
  CAPTURE(schedule, first);
  std::vector<Word> result(kThreads, 1000), expected(kThreads, 1000);
  for (unsigned t = first; t < kThreads; ++t) expected[t] = t + 1 < kThreads ? t + 1 : first;
  emulator::set_schedule(schedule);
  simt::launch(some_exit_kernel, one_block(), result.data(), first);
  emulator::set_schedule(0);
  CHECK(result == expected);
}

__global__ void two_barriers_kernel() {
  if (threadIdx.x % 2 == 0)
    __syncthreads();
  else
    __syncthreads();
}

TEST_CASE("lanes of a warp at different barriers are a fault", "[simt]") {
  check_report(fault_of(two_barriers_kernel, one_block()), FaultKind::misuse,
               {"__syncthreads: the threads of a warp must reach the same one, got lanes 0 at "
                "simt_faults_test.cpp:",
                "and this one at simt_faults_test.cpp:", "thread 1,"});
}

enum class Mask { without_caller, exited, never_was, leaving, overlapping, source_outside, width };

__global__ void mask_kernel(Mask mask) {
  const Word lane = threadIdx.x;
  if (mask == Mask::exited && lane == 0) return;
  if (mask == Mask::leaving && lane == 31) return;
  if (mask == Mask::overlapping && lane >= 16) {
    faulty_line = __LINE__ + 1;
    __ballot_sync(kUpper | 0x100, true);
    return;
  }
  const Word lanes = mask == Mask::without_caller ? kAll & ~1u
                     : mask == Mask::overlapping  ? kLower | 0x10000
                                                  : kAll;
  const int operand = mask == Mask::source_outside ? 16 : 1;
  const int width = mask == Mask::width ? 12 : 32;
  if (mask == Mask::source_outside && lane >= 16) return;
  faulty_line = __LINE__ + 1;
  __shfl_xor_sync(mask == Mask::source_outside ? kLower : lanes, lane, operand, width);
}

TEST_CASE("masks that cannot come true are faults", "[simt]") {
  const auto check = [](Mask mask, unsigned threads, std::string_view rule,
                        std::string_view thread) {
    const KernelFault fault = fault_of(mask_kernel, one_block(threads), mask);
    CAPTURE(static_cast<int>(mask));
    check_report(fault, FaultKind::misuse, {rule, here(), thread});
  };
  check(Mask::without_caller, 32, "the mask must name the calling lane, got lanes 1-31",
        "thread 0,");
  check(Mask::exited, 32, "got lanes 0 that have exited or never were", "thread 1,");
  check(Mask::leaving, 32, "exit: lanes 0-30 wait for the thread in __shfl_xor_sync", "thread 31,");
  check(Mask::never_was, 24, "got lanes 24-31 that have exited or never were", "thread 0,");
  check(Mask::overlapping, 32,
        "waits for lanes 8,16-31, but of these lanes 8 wait in __shfl_xor_sync", "thread 16,");
  check(Mask::source_outside, 32, "reads lane 16, which is not among lanes 0-15", "thread 0,");
  check(Mask::width, 32, "width must be 1, 2, 4, 8, 16 or 32, got 12", "thread 0,");
}

// Shared memory.

enum class Address { aligned, off_by_2, behind, before };

__global__ void ldmatrix_kernel(Address address, unsigned culprit) {
  std::byte* s = simt::dynamic_shared<std::byte>();
  std::byte* row_s = s + 16 * (threadIdx.x % 32);
  if (threadIdx.x == culprit && address == Address::off_by_2) row_s += 2;
  if (threadIdx.x == culprit && address == Address::behind) row_s = s + 4096;
  if (threadIdx.x == culprit && address == Address::before) row_s = s - 16;
  Word r[4];
  faulty_line = __LINE__ + 1;
  simt::ldmatrix_x4(r, row_s);
}

TEST_CASE("ldmatrix must be aligned and inside shared memory, in every lane", "[simt]") {
  const unsigned culprit = GENERATE(0u, 17u, 127u);
  const std::string thread = concat("thread ", culprit, ',');
  const auto check = [&](Address address, std::string_view rule) {
    const KernelFault fault = fault_of(ldmatrix_kernel, one_block(), address, culprit);
    check_report(fault, FaultKind::bounds, {rule, here(), thread});
  };
  check(Address::off_by_2, "ldmatrix: the shared address must be a multiple of 16, got offset");
  check(Address::behind, "must stay inside the 4096 bytes of shared memory, got bytes 4096..4111");
  check(Address::before, "must stay inside the 4096 bytes of shared memory, got bytes -16..-1");
  simt::launch(ldmatrix_kernel, one_block(), Address::aligned, culprit);
}

__global__ void divergent_ldmatrix_kernel() {
  const std::byte* row_s = simt::dynamic_shared<std::byte>() + 16 * threadIdx.x;
  Word r[4];
  if (threadIdx.x == 0)
    simt::ldmatrix_x4(r, row_s);
  else
    simt::ldmatrix_x4(r, row_s);
}

TEST_CASE("ldmatrix must be reached by all lanes at the same place", "[simt]") {
  check_report(fault_of(divergent_ldmatrix_kernel, one_block(32)), FaultKind::misuse,
               {"ldmatrix: waits for lanes 0-31, but of these lanes 0 wait in ldmatrix", "thread 1",
                "lane 1"});
}

enum class Copy { good, shared_off_by_8, shared_behind, global_off_by_4, left };

__global__ void copy_kernel(const Vector* source_g, Copy copy) {
  std::byte* dst_s = simt::dynamic_shared<std::byte>() + 16 * threadIdx.x;
  const auto* src_g = reinterpret_cast<const std::byte*>(source_g);
  if (copy == Copy::shared_off_by_8) dst_s += 8;
  if (copy == Copy::shared_behind) dst_s += 4096 - 16;
  if (copy == Copy::global_off_by_4) src_g += 4;
  faulty_line = __LINE__ + 1;
  simt::cp_async_16(dst_s, src_g, true);
  simt::cp_async_commit();
  if (copy != Copy::left) simt::cp_async_wait<0>();
}

TEST_CASE("cp.async must be aligned, inside shared memory, and waited for", "[simt]") {
  const Vector source[2] = {};
  const auto check = [&](Copy copy, FaultKind kind, std::string_view rule) {
    const KernelFault fault = fault_of(copy_kernel, one_block(), &source[0], copy);
    check_report(fault, kind, {rule, here()});
  };
  check(Copy::shared_off_by_8, FaultKind::bounds, "must be a multiple of 16, got offset 8");
  check(Copy::shared_behind, FaultKind::bounds, "bytes of shared memory, got bytes 4096..4111");
  check(Copy::global_off_by_4, FaultKind::bounds, "the global address must be a multiple of 16");
  check(Copy::left, FaultKind::misuse, "exit: the thread has 1 cp.async in flight");
  simt::launch(copy_kernel, one_block(), &source[0], Copy::good);
  fault_of(copy_kernel, one_block(), &source[0], Copy::left);
  simt::launch(ldmatrix_kernel, one_block(), Address::aligned, 0u);  // has no copy to wait for
}

#if !defined(__SANITIZE_ADDRESS__)  // which ends the program at such a write
__global__ void write_kernel(int offset) {
  std::byte* s = simt::dynamic_shared<std::byte>();
  if (threadIdx.x == 5) s[offset] = std::byte{1};
}

TEST_CASE("a write outside shared memory is a fault of its block", "[simt]") {
  check_report(fault_of(write_kernel, one_block(), 4097), FaultKind::bounds,
               {"written 0 bytes behind the end of its 4096 bytes [block (0,0,0)]"});
  check_report(fault_of(write_kernel, one_block(), -2), FaultKind::bounds,
               {"written 2 bytes before"});
  simt::launch(write_kernel, one_block(), 4095);
}
#endif

struct Plan {
  Word word[1025];
};

__global__ void plan_kernel() {
  faulty_line = __LINE__ + 1;
  simt::dynamic_shared<Plan>();
}

TEST_CASE("shared memory is limited by the launch and by the machine", "[simt]") {
  const KernelFault fault = fault_of(plan_kernel, one_block());
  check_report(fault, FaultKind::bounds,
               {"dynamic_shared: must stay inside the 4096 bytes", here()});
  simt::launch(plan_kernel, one_block(32, 227 << 10));
  const LaunchShape too_much = one_block(32, (227 << 10) + 1);
  check_report(fault_of(plan_kernel, too_much), FaultKind::misuse,
               {"at most 232448 bytes of shared memory, got 232449",
                concat("simt_faults_test.cpp:", too_much.place.line)});
  check_report(fault_of(plan_kernel, one_block(1025)), FaultKind::misuse, {"1 to 1024 threads"});
  check_report(fault_of(plan_kernel, one_block(0)), FaultKind::misuse, {"1 to 1024 threads"});
}

// One of many blocks.

struct Culprits {
  unsigned slow, fast;  ///< linear numbers of blocks
};

__global__ void faulty_blocks_kernel(Word* done_g, Culprits culprits) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  for (int n = block == culprits.slow ? 1000 : block == culprits.fast ? 300 : 1; n > 0; --n)
    __syncthreads();
  if ((block == culprits.slow || block == culprits.fast) && threadIdx.x == 77)
    throw std::runtime_error("out of luck");
  done_g[kThreads * block + threadIdx.x] = 1;
}

TEST_CASE("of faults in several blocks the first in launch order is reported", "[simt]") {
  const Schedule schedule = GENERATE(Schedule{0}, Schedule{1});
  // Blocks too run from the first, or from the last. Two cores work on both culprits at once.
  const Culprits culprits = GENERATE(Culprits{25, 26}, Culprits{26, 25});
  const LaunchShape shape{dim3(4, 4, 4), dim3(kThreads)};
  std::vector<Word> done(kThreads * 64);
  emulator::set_schedule(schedule);
  const KernelFault fault = fault_of(faulty_blocks_kernel, shape, done.data(), culprits);
  emulator::set_schedule(0);
  const std::string_view block = schedule == 0 ? "[block (1,2,1)" : "[block (2,2,1)";
  check_report(fault, FaultKind::misuse,
               {"kernel: threw `out of luck`", block, "thread 77, warp 2, lane 13",
                concat("launched at simt_faults_test.cpp:", shape.place.line)});
  const std::string_view text = fault.what();
  CHECK(text.find("[block") == text.rfind("[block"));

  std::fill(done.begin(), done.end(), 0);
  simt::launch(faulty_blocks_kernel, shape, done.data(), Culprits{64, 64});  // as if nothing was
  CHECK(done == std::vector<Word>(done.size(), 1));
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
