// How CUDA threads wait for each other: the barrier of a block, and operations of a warp's lanes.
#include <cstring>

#include "cases/error.h"
#include "cuda/simt/schedule.h"

namespace attest::emulator {
namespace {

constexpr const char* kBarrier = "__syncthreads";

}  // namespace

void Block::sync_threads(Place place) {
  const std::uint32_t bit = 1u << lane->lane;
  std::uint32_t& waiting = barrier_.waiting[lane->warp];
  Place& first = barrier_.place[lane->warp];
  if (waiting == 0) first = place;
  if (first.line != place.line)
    fail(FaultKind::misuse,
         concat("__syncthreads: the threads of a warp must reach the same one, got lanes ",
                lanes_text(waiting), place_text(first), " and this one"),
         place);
  waiting |= bit;
  ++barrier_.arrived;
  if (release_barrier()) {
    yield();
    return;
  }
  lane->waits_at = kBarrier;
  lane->mask = 0;
  lane->place = place;
  suspend();
}

/// Opens the barrier if every thread that has not exited waits there.
bool Block::release_barrier() {
  if (barrier_.arrived == 0 || barrier_.arrived < live_) return false;
  for (unsigned w = 0; w * kWarpSize < threads_; ++w) {
    make_ready(w, barrier_.waiting[w]);
    barrier_.waiting[w] = 0;
  }
  barrier_.arrived = 0;
  if constexpr (kRaceBuild) race_.barrier();
  ++statistics.barriers;
  return true;
}

void Block::collective(const char* operation, bool aligned, std::uint32_t mask, void* argument,
                       Work work, Place place) {
  Warp& warp = warps_[lane->warp];
  const std::uint32_t bit = 1u << lane->lane;
  warp.arguments[lane->lane] = argument;
  Rendezvous& here = meet(operation, aligned, mask, place);
  here.arrived |= bit;
  if (here.arrived != mask) {
    lane->waits_at = operation;
    lane->mask = mask;
    lane->place = place;
    suspend();
    return;
  }
  here = warp.rendezvous[--warp.open];
  ++statistics.collectives;
  work(warp.arguments, mask);
  make_ready(lane->warp, mask);
  yield();
}

/// The rendezvous that the running thread joins. Faults when it can never be complete.
Rendezvous& Block::meet(const char* operation, bool aligned, std::uint32_t mask, Place place) {
  Warp& warp = warps_[lane->warp];
  const std::uint32_t bit = 1u << lane->lane;
  if ((mask & bit) == 0)
    fail(FaultKind::misuse,
         concat(operation, ": the mask must name the calling lane, got lanes ", lanes_text(mask)),
         place);
  if ((mask & ~warp.live) != 0)
    fail(FaultKind::misuse,
         concat(operation, ": the mask must name running threads, got lanes ",
                lanes_text(mask & ~warp.live), " that have exited or never were"),
         place);
  for (unsigned n = 0; n < warp.open; ++n) {
    Rendezvous& other = warp.rendezvous[n];
    const bool same = other.operation == operation && other.mask == mask &&
                      (!aligned || other.place.line == place.line);
    if (same) return other;
    if ((other.arrived & mask) != 0 && (other.mask & bit) != 0)
      fail(FaultKind::misuse,
           concat(operation, ": waits for lanes ", lanes_text(mask), ", but of these lanes ",
                  lanes_text(other.arrived & mask), " wait in ", other.operation, " for lanes ",
                  lanes_text(other.mask), place_text(other.place), ": divergent"),
           place);
  }
  Rendezvous& fresh = warp.rendezvous[warp.open++];
  fresh = {operation, mask, 0, place};
  return fresh;
}

}  // namespace attest::emulator
