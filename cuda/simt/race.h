#pragma once

// Data races in shared memory, by happens-before: two accesses of one place by different threads,
// at least one of them a write, must be ordered by a barrier between them, whatever values come
// out. The race build (ATTEST_RACE) asks at each access of a kernel; others leave this idle.
//
// What orders (CUDA Programming Guide, "Synchronization Functions", "Warp Shuffle Functions"):
//
//   __syncthreads   all accesses of the block before it, before all after it
//   __syncwarp      the same among the lanes of its mask; shuffles, ballots and mma do not
//   ldmatrix        reads for its whole warp at once: what a lane writes later is behind it
//   cp.async        writes from its issue to the wait, and nobody may touch the bytes in between;
//                   after the wait they are as if the thread that waits had written them

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace attest::emulator {

#if defined(ATTEST_RACE)
constexpr bool kRaceBuild = true;
#else
constexpr bool kRaceBuild = false;
#endif

enum class AccessKind : std::uint8_t { read, warp_read, write, copy_in_flight, copy_landed };

struct RaceAccess {
  const void* pc = nullptr;  ///< return address in the kernel's code
  std::uint16_t thread = 0;
  AccessKind kind = AccessKind::read;
};

struct Race {
  RaceAccess now, before;
  std::size_t offset = 0;  ///< of the first byte in question, in shared memory
};

/// Says who did what on which line. Starts addr2line; not for the small stack of a CUDA thread.
std::string race_text(const Race&);

/// What one block has done to its shared memory. Each thread's clock is kept in two parts: barriers
/// of the block count intervals, which all threads share; within an interval only lanes of one warp
/// can be ordered, by a vector clock over its 32 lanes.
class RaceDetector {
 public:
  /// A new block, whose shared memory nobody has touched.
  void start(std::size_t shared_bytes);

  /// All threads of the block have waited for each other.
  void barrier() { ++interval_; }

  /// The lanes of the mask have.
  void sync_warp(unsigned warp, std::uint32_t mask);

  /// An access of bytes [offset, offset + bytes), inside the block's shared memory. False when it
  /// races; race() says with what.
  bool access(RaceAccess, std::size_t offset, std::size_t bytes);

  const Race& race() const { return race_; }

  /// Counts barriers.
  std::uint32_t interval() const { return interval_; }

 private:
  static constexpr unsigned kLanes = 32;

  /// Lanes of a warp that read a byte since it was last written, in one interval; those that are
  /// known to be ordered before the latest of them are left out.
  struct Readers {
    const void* pc = nullptr;        // of the latest
    const void* other_pc = nullptr;  // of a reader in another warp
    std::uint32_t interval = 0, lanes = 0, first_time = 0, last_time = 0;
    std::uint16_t latest = 0, other = 0;
    bool has_other = false;
  };
  struct Cell {
    RaceAccess writer;
    std::uint32_t write_interval = 0, write_time = 0;  // kInFlight: cp.async not waited for
    Readers readers;
  };
  struct WarpClock {
    std::uint32_t time = 0;                   // counts __syncwarp; never goes back
    std::uint32_t seen[kLanes][kLanes] = {};  // [u] of [t]: t is behind what u did before this time
  };

  bool check_writer(const Cell&, RaceAccess);
  bool check_readers(const Cell&, RaceAccess);
  void note_read(Cell&, RaceAccess);
  void note_write(Cell&, RaceAccess);
  bool report(RaceAccess now, RaceAccess before);

  std::vector<Cell> cells_;  // one a byte
  std::vector<WarpClock> warps_;
  std::uint32_t interval_ = 0;
  std::size_t in_flight_ = 0;  // bytes
  Race race_;
};

}  // namespace attest::emulator
