#include "cuda/simt/race.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace attest::emulator {
namespace {

constexpr std::uint32_t kInFlight = std::numeric_limits<std::uint32_t>::max();
constexpr unsigned kWarps = 32;

bool is_read(AccessKind kind) { return kind == AccessKind::read || kind == AccessKind::warp_read; }

}  // namespace

void RaceDetector::start(std::size_t shared_bytes) {
  // Earlier intervals are ordered before all of this block, so cells need no clearing, except those
  // with copies in flight that a faulty block left.
  if (in_flight_ != 0) cells_.clear();
  in_flight_ = 0;
  ++interval_;
  if (cells_.size() < shared_bytes) cells_.resize(shared_bytes);
  warps_.resize(kWarps);
}

void RaceDetector::sync_warp(unsigned warp, std::uint32_t mask) {
  WarpClock& clock = warps_[warp];
  ++clock.time;
  std::uint32_t joined[kLanes] = {};
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1) {
    const auto t = static_cast<unsigned>(std::countr_zero(rest));
    for (unsigned u = 0; u < kLanes; ++u) joined[u] = std::max(joined[u], clock.seen[t][u]);
  }
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1)
    joined[std::countr_zero(rest)] = clock.time;
  for (std::uint32_t rest = mask; rest != 0; rest &= rest - 1)
    std::copy_n(joined, kLanes, clock.seen[std::countr_zero(rest)]);
}

bool RaceDetector::access(RaceAccess now, std::size_t offset, std::size_t bytes) {
  for (std::size_t at = offset; at < offset + bytes; ++at) {
    Cell& cell = cells_[at];
    race_.offset = at;
    if (!check_writer(cell, now)) return false;
    if (is_read(now.kind)) {
      note_read(cell, now);
    } else {
      if (!check_readers(cell, now)) return false;
      note_write(cell, now);
    }
  }
  return true;
}

bool RaceDetector::check_writer(const Cell& cell, RaceAccess now) {
  if (cell.write_interval < interval_) return true;
  const RaceAccess& before = cell.writer;
  if (cell.write_interval == kInFlight)  // only its own landing may follow
    return (now.kind == AccessKind::copy_landed && now.thread == before.thread) ||
           report(now, before);
  if (before.thread == now.thread) return true;
  if (before.thread / kLanes != now.thread / kLanes) return report(now, before);
  const auto& seen = warps_[now.thread / kLanes].seen[now.thread % kLanes];
  return seen[before.thread % kLanes] > cell.write_time || report(now, before);
}

bool RaceDetector::check_readers(const Cell& cell, RaceAccess now) {
  const Readers& r = cell.readers;
  if (r.interval < interval_) return true;
  const unsigned warp = now.thread / kLanes;
  if (r.latest / kLanes != warp) return report(now, {r.pc, r.latest, AccessKind::read});
  if (r.has_other) return report(now, {r.other_pc, r.other, AccessKind::read});
  const auto& seen = warps_[warp].seen[now.thread % kLanes];
  for (std::uint32_t rest = r.lanes & ~(1u << now.thread % kLanes); rest != 0; rest &= rest - 1) {
    const auto u = static_cast<unsigned>(std::countr_zero(rest));
    // Only the latest reader's time is known; of others, that they read at first_time or later.
    const std::uint32_t read_time = u == r.latest % kLanes ? r.last_time : r.first_time;
    if (seen[u] <= read_time)
      return report(now, {r.pc, static_cast<std::uint16_t>(warp * kLanes + u), AccessKind::read});
  }
  return true;
}

void RaceDetector::note_read(Cell& cell, RaceAccess now) {
  Readers& r = cell.readers;
  const unsigned warp = now.thread / kLanes, lane = now.thread % kLanes;
  const std::uint32_t time = warps_[warp].time;
  // Of a read of the whole warp only other warps need to know.
  const std::uint32_t bit = now.kind == AccessKind::warp_read ? 0 : 1u << lane;
  if (r.interval < interval_) {
    r = {now.pc, nullptr, interval_, bit, time, time, now.thread, 0, false};
    return;
  }
  if (r.latest / kLanes != warp) {
    if (!r.has_other) r.other = now.thread, r.other_pc = now.pc, r.has_other = true;
    return;
  }
  if (bit == 0 && r.lanes != 0) return;
  if (r.last_time != time) {
    const auto& seen = warps_[warp].seen[lane];
    for (std::uint32_t rest = r.lanes; rest != 0; rest &= rest - 1) {
      const auto u = static_cast<unsigned>(std::countr_zero(rest));
      if (u == lane || seen[u] > r.last_time) r.lanes &= ~(1u << u);
    }
    if (r.lanes == 0) r.first_time = time;
  }
  r.lanes |= bit;
  r.last_time = time;
  r.latest = now.thread;
  r.pc = now.pc;
}

void RaceDetector::note_write(Cell& cell, RaceAccess now) {
  cell.writer = now;
  cell.write_interval = now.kind == AccessKind::copy_in_flight ? kInFlight : interval_;
  if (now.kind == AccessKind::copy_in_flight) ++in_flight_;
  if (now.kind == AccessKind::copy_landed) --in_flight_;
  cell.write_time = warps_[now.thread / kLanes].time;
  cell.readers.interval = 0;
}

bool RaceDetector::report(RaceAccess now, RaceAccess before) {
  race_.now = now;
  race_.before = before;
  return false;
}

}  // namespace attest::emulator
