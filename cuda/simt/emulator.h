#pragma once

#include <cstdint>

#include "cases/case.h"

/// What the harness may say to and ask of the emulator. Nothing here concerns a GPU.
namespace attest::emulator {

/// Order of warps, lanes and blocks in every launch from now on. Default 0.
void set_schedule(Schedule);
Schedule schedule();

/// What the emulator did, summed over all launches that ended since the last reset.
struct Statistics {
  std::uint64_t blocks = 0;
  std::uint64_t mma = 0;          ///< m16n8k16 products of a whole warp
  std::uint64_t collectives = 0;  ///< completed warp-wide operations, an mma of N tiles being one
  std::uint64_t barriers = 0;     ///< completed __syncthreads of a block
  std::uint64_t switches = 0;     ///< from one CUDA thread to another
};
Statistics statistics();
void reset_statistics();

}  // namespace attest::emulator
