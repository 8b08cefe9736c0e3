#pragma once

// Which CUDA thread runs next. Inline, for a thread passes here each time it waits: tens of
// millions of times in a small test.

#include <bit>

#include "cuda/simt/block.h"

namespace attest::emulator {

constexpr Schedule kLowestFirst = 0, kHighestFirst = 1;

inline unsigned lowest(std::uint32_t mask) { return static_cast<unsigned>(std::countr_zero(mask)); }
inline unsigned highest(std::uint32_t mask) {
  return 31u - static_cast<unsigned>(std::countl_zero(mask));
}

inline void Block::make_ready(unsigned warp, std::uint32_t mask) {
  warps_[warp].ready |= mask;
  if (mask != 0) ready_warps_ |= 1u << warp;
}

inline void Block::unready(const Lane& each) {
  Warp& warp = warps_[each.warp];
  warp.ready &= ~(1u << each.lane);
  if (warp.ready == 0) ready_warps_ &= ~(1u << each.warp);
}

inline Lane* Block::next() {
  if (ready_warps_ == 0) return nullptr;
  if (grid->schedule == kLowestFirst) {
    const unsigned w = lowest(ready_warps_);
    return &lanes_[w * kWarpSize + lowest(warps_[w].ready)];
  }
  if (grid->schedule == kHighestFirst) {
    const unsigned w = highest(ready_warps_);
    return &lanes_[w * kWarpSize + highest(warps_[w].ready)];
  }
  return random_next();
}

inline void Block::switch_to(Lane& following) {
  Lane& mine = *lane;
  if (&following == &mine) return;
  ++statistics.switches;
  lane = &following;
  switch_fiber(mine.fiber, following.fiber);
}

inline void Block::suspend() {
  Lane& mine = *lane;
  unready(mine);
  Lane* following = next();
  if (following == nullptr) {
    report_deadlock();
    switch_fiber(mine.fiber, main_, true);
  }
  switch_to(*following);
  mine.waits_at = nullptr;
}

inline void Block::yield() {
  lane->waits_at = nullptr;
  switch_to(*next());
}

}  // namespace attest::emulator
