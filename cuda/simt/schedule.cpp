// Random schedules, and what to say when no thread can run.
#include "cuda/simt/schedule.h"

#include <string_view>

#include "cases/error.h"

namespace attest::emulator {
namespace {

bool same_wait(const Lane& a, const Lane& b) {
  return a.exited == b.exited && a.waits_at == b.waits_at && a.mask == b.mask &&
         a.place.line == b.place.line;
}

}  // namespace

std::uint32_t Block::random() {  // xorshift64 (Marsaglia 2003)
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return static_cast<std::uint32_t>(random_state_ >> 32);
}

Lane* Block::random_next() {
  unsigned best = lowest(ready_warps_);
  // Some warp changes its rank from time to time, or the first choice would run ahead for good.
  if (random() % 16 == 0) warps_[best].priority = random();
  for (std::uint32_t rest = ready_warps_; rest != 0; rest &= rest - 1)
    if (warps_[lowest(rest)].priority > warps_[best].priority) best = lowest(rest);
  if (random() % 16 == 0) warps_[best].priority = random();
  std::uint32_t ready = warps_[best].ready;
  for (unsigned skip = random() % static_cast<unsigned>(std::popcount(ready)); skip > 0; --skip)
    ready &= ready - 1;
  return &lanes_[best * kWarpSize + lowest(ready)];
}

void Block::report_deadlock() {
  std::string text =
      concat("deadlock: no thread of block (", index.x, ',', index.y, ',', index.z, ") can run");
  for (unsigned first = 0; first < threads_;) {
    unsigned last = first;
    while (last + 1 < threads_ && same_wait(lanes_[first], lanes_[last + 1])) ++last;
    const Lane& a = lanes_[first];
    text += concat("\n  threads ", first, "..", last, " (warp ", a.warp, " lane ", a.lane,
                   " to warp ", lanes_[last].warp, " lane ", lanes_[last].lane, "): ");
    if (a.exited) {
      text += "exited";
    } else {
      text += concat("wait in ", a.waits_at);
      if (a.mask != 0) text += concat(" for lanes ", lanes_text(a.mask));
      text += place_text(a.place);
    }
    first = last + 1;
  }
  fault_.emplace(FaultKind::deadlock, text);
}

std::string lanes_text(std::uint32_t mask) {
  std::string text;
  for (unsigned first = 0; first < kWarpSize; ++first) {
    if ((mask >> first & 1) == 0) continue;
    unsigned last = first;
    while (last + 1 < kWarpSize && (mask >> (last + 1) & 1) != 0) ++last;
    text += concat(text.empty() ? "" : ",", first);
    if (last > first) text += concat('-', last);
    first = last;
  }
  return text.empty() ? "none" : text;
}

std::string place_text(Place place) {
  if (place.line == 0) return {};
  const std::string_view path = place.file;
  return concat(" at ", path.substr(path.rfind('/') + 1), ':', place.line);
}

}  // namespace attest::emulator
