#include "cuda/simt/block.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "cases/error.h"
#include "cuda/simt/schedule.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace attest::emulator {
namespace {

constexpr std::size_t kSharedAlignment = 1024;  // of dynamic shared memory
constexpr std::size_t kFrontBytes = 1024, kBackBytes = 4096;
constexpr std::size_t kArenaBytes = kFrontBytes + kMaxSharedBytes + kBackBytes;
constexpr std::uint16_t kRedZone = 0xffe5;  // a NaN in bf16, fp16, fp32 and fp64

void fill_red_zone(std::byte* first, std::size_t bytes) {
  std::fill_n(reinterpret_cast<std::uint16_t*>(first), bytes / 2, kRedZone);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(first, bytes);
#endif
}

void expose([[maybe_unused]] std::byte* first, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(first, bytes);
#endif
}

}  // namespace

constinit thread_local Block* current_block = nullptr;

Block::Block()
    : warps_(kMaxWarps),
      arena_(static_cast<std::byte*>(
          ::operator new (kArenaBytes, std::align_val_t{kSharedAlignment}))),
      shared_(arena_ + kFrontBytes) {
  lanes_.reserve(kMaxThreads);  // fibers know each other by address
}

Block::~Block() {
  for (Lane& each : lanes_) unmap_stack(each.fiber);
  expose(arena_, kArenaBytes);
  ::operator delete (arena_, std::align_val_t{kSharedAlignment});
}

void Block::run(const Grid& launched, Dim3 block_index) {
  start(launched, block_index);
  current_block = this;
  lane = next();
  switch_fiber(main_, lane->fiber);
  current_block = nullptr;
  expose(arena_, kArenaBytes);
  ++statistics.blocks;
  if (raced_)
    fault_.emplace(FaultKind::race, concat(race_text(race_.race()), " [block (", index.x, ',',
                                           index.y, ',', index.z, ")]"));
  if (!fault_) check_red_zones();
  if (fault_) throw KernelFault(*fault_);
}

void Block::start(const Grid& launched, Dim3 block_index) {
  grid = &launched;
  index = block_index;
  fault_.reset();
  raced_ = false;
  if constexpr (kRaceBuild) race_.start(grid->shared_bytes);
  barrier_ = {};
  threads_ = live_ = grid->block.x * grid->block.y * grid->block.z;
  // A seed of its own for each block; xorshift must not start at 0 (odd multipliers: splitmix64's).
  const std::uint64_t number =
      (std::uint64_t{index.z} << 42) ^ (std::uint64_t{index.y} << 21) ^ index.x;
  random_state_ = (grid->schedule * 0x9e3779b97f4a7c15u) ^ (number * 0xbf58476d1ce4e5b9u);
  if (random_state_ == 0) random_state_ = 1;
  ready_warps_ = 0;
  reset_shared();
  for (unsigned w = 0; w * kWarpSize < threads_; ++w) {
    const unsigned lanes = std::min(threads_ - w * kWarpSize, kWarpSize);
    warps_[w].ready = 0;
    warps_[w].open = 0;
    warps_[w].live = lanes == kWarpSize ? kFullMask : (1u << lanes) - 1;
    warps_[w].priority = random();
    make_ready(w, warps_[w].live);
  }
  for (unsigned t = 0; t < threads_; ++t) start_lane(t);
}

void Block::start_lane(unsigned thread) {
  if (thread == lanes_.size()) {
    Lane fresh{};
    map_stack(fresh.fiber);
    lanes_.push_back(std::move(fresh));
  }
  Lane& each = lanes_[thread];
  const Dim3& size = grid->block;
  each.index = Dim3(thread % size.x, thread / size.x % size.y, thread / size.x / size.y);
  each.thread = thread;
  each.warp = thread / kWarpSize;
  each.lane = thread % kWarpSize;
  each.exited = false;
  each.waits_at = nullptr;
  each.copies.clear();
  each.groups = 0;
  start_fiber(each.fiber, 7 * thread, thread_main);  // 7: coprime to the number of cache sets
}

void Block::reset_shared() {
  expose(arena_, kArenaBytes);
  std::memset(shared_, 0xff, grid->shared_bytes);  // a NaN in every float format
  fill_red_zone(arena_, kFrontBytes);
  fill_red_zone(shared_ + grid->shared_bytes, kBackBytes);
}

void Block::check_red_zones() {
  const auto damaged = [](const std::byte* first, std::size_t bytes) -> std::ptrdiff_t {
    const auto* word = reinterpret_cast<const std::uint16_t*>(first);
    const auto* end = word + bytes / 2;
    const auto* bad = std::find_if(word, end, [](std::uint16_t w) { return w != kRedZone; });
    return bad == end ? -1 : 2 * (bad - word);
  };
  const std::ptrdiff_t before = damaged(arena_, kFrontBytes);
  const std::ptrdiff_t behind = damaged(shared_ + grid->shared_bytes, kBackBytes);
  if (before < 0 && behind < 0) return;
  const std::string what =
      behind >= 0 ? concat(behind, " bytes behind the end of")
                  : concat(static_cast<std::ptrdiff_t>(kFrontBytes) - before, " bytes before");
  fault_.emplace(FaultKind::bounds,
                 concat("shared memory: something was written ", what, " its ", grid->shared_bytes,
                        " bytes [block (", index.x, ',', index.y, ',', index.z,
                        ")]; a build with ATTEST_SANITIZE=address names the line"));
}

void Block::thread_main(Arrival arrival) {
  enter_fiber(arrival);
  Block& block = *current_block;
  try {
    block.grid->kernel(block.grid->parameters);
    block.check_exit();
  } catch (const KernelFault& thrown) {
    block.fault_ = thrown;
  } catch (const std::exception& thrown) {
    block.fault_.emplace(FaultKind::misuse,
                         concat("kernel: threw `", thrown.what(), '`', block.where(*block.lane)));
  } catch (...) {
    block.fault_.emplace(FaultKind::misuse, concat("kernel: threw", block.where(*block.lane)));
  }
  // Outside of the handlers: the runtime's record of exceptions in flight knows nothing of fibers.
  if (block.fault_) switch_fiber(block.lane->fiber, block.main_, true);
  block.exit_thread();
}

void Block::check_exit() const {
  if (!lane->copies.empty())
    fail(FaultKind::misuse,
         concat("exit: the thread has ", lane->copies.size(),
                " cp.async in flight; wait for them before the kernel ends"),
         lane->copies.front().place);
  const Warp& warp = warps_[lane->warp];
  for (unsigned n = 0; n < warp.open; ++n)
    if (warp.rendezvous[n].mask >> lane->lane & 1)
      fail(FaultKind::misuse,
           concat("exit: lanes ", lanes_text(warp.rendezvous[n].arrived),
                  " wait for the thread in ", warp.rendezvous[n].operation),
           warp.rendezvous[n].place);
}

void Block::exit_thread() {
  lane->exited = true;
  --live_;
  warps_[lane->warp].live &= ~(1u << lane->lane);
  unready(*lane);
  release_barrier();
  Fiber& mine = lane->fiber;
  Lane* following = next();
  if (following == nullptr && live_ > 0) report_deadlock();
  if (following == nullptr) switch_fiber(mine, main_, true);
  lane = following;
  switch_fiber(mine, following->fiber, true);
}

/// Called between the instructions of a kernel, through which nothing may be thrown.
void Block::stop_for_race() {
  raced_ = true;
  switch_fiber(lane->fiber, main_, true);
}

void Block::note_global_write(const void* address, std::size_t bytes, const void* pc) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const auto stack = reinterpret_cast<std::uintptr_t>(lane->fiber.stack_bottom);
  if (at - stack < lane->fiber.stack_bytes) return;  // a local variable
  const Dim3& size = grid->grid;
  const std::int64_t number =
      (std::int64_t{index.z} * size.y + index.y) * std::int64_t{size.x} + index.x;
  global_writes_.push_back(
      {at, bytes, pc, number, race_.interval(), static_cast<std::uint16_t>(lane->thread)});
}

void Block::move_global_writes(std::vector<GlobalWrite>& to) {
  to.insert(to.end(), global_writes_.begin(), global_writes_.end());
  global_writes_.clear();
}

std::string Block::where(const Lane& each) const {
  return concat(" [block (", index.x, ',', index.y, ',', index.z, "), thread ", each.thread,
                ", warp ", each.warp, ", lane ", each.lane, "]");
}

void Block::fail(FaultKind kind, const std::string& message, Place place, const Lane* who) const {
  throw KernelFault(kind, concat(message, place_text(place), where(who ? *who : *lane)));
}

void Block::check_shared(const char* operation, const void* address, std::size_t bytes,
                         std::size_t alignment, Place place, const Lane* who) const {
  const std::size_t offset = offset_in_shared(address);  // wraps below the start
  if (offset >= grid->shared_bytes || bytes > grid->shared_bytes - offset)
    fail(FaultKind::bounds,
         concat(operation, ": must stay inside the ", grid->shared_bytes,
                " bytes of shared memory, got bytes ", static_cast<std::ptrdiff_t>(offset), "..",
                static_cast<std::ptrdiff_t>(offset + bytes) - 1),
         place, who);
  if (offset % alignment != 0)
    fail(FaultKind::bounds,
         concat(operation, ": the shared address must be a multiple of ", alignment,
                ", got offset ", offset),
         place, who);
}

}  // namespace attest::emulator
