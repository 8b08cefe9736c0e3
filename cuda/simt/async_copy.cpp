// cp.async: the destination turns NaN at once and gets its data as late as the PTX ISA allows, when
// the thread that issued the copy waits for its group. Whoever reads too early, or writes a new
// copy over a stage that is still read, meets NaN.
#include <cstring>

#include "cases/error.h"
#include "cuda/simt/block.h"
#include "cuda/simt/operations.h"

namespace attest::emulator {
namespace {

constexpr std::size_t kBytes = 16;

void land(const AsyncCopy& copy) {
  Block& block = *current_block;
  block.watch(AccessKind::copy_landed, *block.lane, copy.dst_s, kBytes, copy.pc);
  if (copy.src_g == nullptr)
    std::memset(copy.dst_s, 0, kBytes);
  else
    std::memcpy(copy.dst_s, copy.src_g, kBytes);
}

}  // namespace

void cp_async_16(void* dst_s, const void* src_g, bool in_range, Place place) {
  Block& block = *current_block;
  block.check_shared("cp.async", dst_s, kBytes, kBytes, place);
  if (in_range && reinterpret_cast<std::uintptr_t>(src_g) % kBytes != 0)
    block.fail(FaultKind::bounds,
               concat("cp.async: the global address must be a multiple of 16, got ", src_g), place);
  const void* pc = __builtin_return_address(0);
  block.watch(AccessKind::copy_in_flight, *block.lane, dst_s, kBytes, pc);
  std::memset(dst_s, 0xff, kBytes);
  Lane& lane = *block.lane;
  lane.copies.push_back({static_cast<std::byte*>(dst_s),
                         in_range ? static_cast<const std::byte*>(src_g) : nullptr, lane.groups,
                         place, pc});
}

void cp_async_commit() { ++current_block->lane->groups; }

void cp_async_wait(unsigned groups_left) {
  Lane& lane = *current_block->lane;
  auto first_left = lane.copies.begin();
  for (; first_left != lane.copies.end() && first_left->group + groups_left < lane.groups;
       ++first_left)
    land(*first_left);
  lane.copies.erase(lane.copies.begin(), first_left);
}

}  // namespace attest::emulator
