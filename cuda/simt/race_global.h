#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cuda/simt/race.h"

namespace attest::emulator {

/// A write to global memory.
struct GlobalWrite {
  std::uintptr_t address;
  std::size_t bytes;
  const void* pc;          ///< return address in the kernel's code
  std::int64_t block;      ///< linear number
  std::uint32_t interval;  ///< barriers of the block before it
  std::uint16_t thread;

  bool operator==(const GlobalWrite&) const = default;
};

struct GlobalRace {
  GlobalWrite first, second;
};

/// Two writes of one launch that overlap and that nothing orders: by different blocks, or by
/// threads of one block with no barrier in between (lanes of one warp are left out: a __syncwarp
/// may order them). Of several, the one at the lowest address. Reorders `writes`.
std::optional<GlobalRace> find_global_race(std::vector<GlobalWrite>& writes);

/// As for a Race.
std::string race_text(const GlobalRace&);

}  // namespace attest::emulator
