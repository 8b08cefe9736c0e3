#include "cuda/simt/race_global.h"

#include <algorithm>
#include <tuple>

namespace attest::emulator {
namespace {

auto order(const GlobalWrite& w) {
  return std::tie(w.address, w.block, w.interval, w.thread, w.bytes, w.pc);
}

bool unordered(const GlobalWrite& a, const GlobalWrite& b) {
  if (a.block != b.block) return true;
  return a.interval == b.interval && a.thread / 32 != b.thread / 32;
}

}  // namespace

std::optional<GlobalRace> find_global_race(std::vector<GlobalWrite>& writes) {
  std::sort(writes.begin(), writes.end(),
            [](const auto& a, const auto& b) { return order(a) < order(b); });
  writes.erase(std::unique(writes.begin(), writes.end()), writes.end());
  for (auto a = writes.begin(); a != writes.end(); ++a)
    for (auto b = a + 1; b != writes.end() && b->address < a->address + a->bytes; ++b)
      if (unordered(*a, *b)) return GlobalRace{*a, *b};
  return {};
}

}  // namespace attest::emulator
