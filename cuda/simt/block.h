#pragma once

// One block of CUDA threads on one OS thread: the emulator's state, and the rules by which threads
// wait for each other. cuda/simt/README.md says what is checked and why.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cases/case.h"
#include "cases/fault.h"
#include "cuda/simt/emulator.h"
#include "cuda/simt/fiber.h"
#include "cuda/simt/place.h"
#include "cuda/simt/race.h"
#include "cuda/simt/race_global.h"

namespace attest::emulator {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;

  constexpr Dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

constexpr unsigned kWarpSize = 32, kMaxThreads = 1024, kMaxWarps = kMaxThreads / kWarpSize;
constexpr std::uint32_t kFullMask = 0xffffffffu;
constexpr std::size_t kMaxSharedBytes = std::size_t{227} << 10;  // compute capability 9.0

/// A cp.async that has not landed.
struct AsyncCopy {
  std::byte* dst_s;
  const std::byte* src_g;  ///< null: 16 zero bytes
  std::uint64_t group;     ///< number of groups this thread had committed before
  Place place;
  const void* pc;  ///< return address in the kernel's code
};

/// One CUDA thread.
struct Lane {
  Fiber fiber;
  Dim3 index;                   ///< threadIdx
  unsigned thread, warp, lane;  ///< linear number, and its parts
  bool exited;
  const char* waits_at;           ///< name of the operation that the thread waits in, or null
  std::uint32_t mask;             ///< lanes it waits for there; 0: the block
  Place place;                    ///< of that operation in the kernel's source
  std::vector<AsyncCopy> copies;  ///< oldest first
  std::uint64_t groups;           ///< committed so far
};

/// An operation of some lanes of a warp that not all of them have reached.
struct Rendezvous {
  const char* operation;
  std::uint32_t mask, arrived;
  Place place;
};

struct Warp {
  std::uint32_t ready, live;  ///< lanes that can run; that have not exited
  std::uint32_t priority;     ///< of random schedules
  unsigned open;              ///< entries of `rendezvous` in use
  Rendezvous rendezvous[kWarpSize];
  void* arguments[kWarpSize];
};

/// __syncthreads.
struct Barrier {
  unsigned arrived;
  std::uint32_t waiting[kMaxWarps];
  Place place[kMaxWarps];  ///< where the warp's first thread arrived
};

/// What lanes of a warp do together, done by the last to arrive: arguments[lane] for each lane of
/// the mask.
using Work = void (*)(void* const* arguments, std::uint32_t mask);

/// What all blocks of a launch share.
struct Grid {
  Dim3 grid, block;
  std::size_t shared_bytes;
  void (*kernel)(const void* parameters);
  const void* parameters;
  Schedule schedule;
  Place place;  ///< of the launch
};

class Block {
 public:
  Block();
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Runs one block to its end. Throws the KernelFault that stopped it.
  void run(const Grid&, Dim3 index);

  // The rest is called by the CUDA threads of the running block.

  void sync_threads(Place);

  /// Waits until all lanes of the mask have called this with the same operation and mask. aligned:
  /// from the same place too (PTX's .aligned).
  void collective(const char* operation, bool aligned, std::uint32_t mask, void* argument, Work,
                  Place);

  /// Throws KernelFault; names the block and the thread (default: the running one).
  [[noreturn]] void fail(FaultKind, const std::string& message, Place, const Lane* = nullptr) const;

  /// Throws KernelFault unless [address, address + bytes) is inside the dynamic shared memory and
  /// aligned.
  void check_shared(const char* operation, const void* address, std::size_t bytes,
                    std::size_t alignment, Place, const Lane* = nullptr) const;

  /// In the race build, notes an access of a thread to shared memory, or a write of the running
  /// one to global memory. Does not return if the former races. pc: return address in the kernel's
  /// code.
  void watch(AccessKind kind, const Lane& who, const void* address, std::size_t bytes,
             const void* pc) {
    if constexpr (!kRaceBuild) return;
    const std::size_t offset = offset_in_shared(address);
    const auto thread = static_cast<std::uint16_t>(who.thread);
    if (offset >= grid->shared_bytes || bytes > grid->shared_bytes - offset) {
      if (kind == AccessKind::write) note_global_write(address, bytes, pc);
    } else if (!race_.access({pc, thread, kind}, offset, bytes)) {
      stop_for_race();
    }
  }

  /// In the race build, notes that the mask's lanes of the running warp have waited for each other.
  void watch_sync(std::uint32_t mask) {
    if constexpr (kRaceBuild) race_.sync_warp(lane->warp, mask);
  }

  /// Appends what watch() noted of global memory since the last call.
  void move_global_writes(std::vector<GlobalWrite>& to);

  const Lane& lane_of(unsigned warp, unsigned number) const {
    return lanes_[warp * kWarpSize + number];
  }
  std::size_t offset_in_shared(const void* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(shared_);
  }

  const Grid* grid = nullptr;
  Dim3 index;            ///< blockIdx
  Lane* lane = nullptr;  ///< the running thread
  Statistics statistics;

  std::byte* shared() const { return shared_; }

 private:
  static void thread_main(Arrival);
  void start(const Grid&, Dim3);
  void start_lane(unsigned thread);
  void reset_shared();
  void check_red_zones();
  void exit_thread();
  void check_exit() const;
  std::string where(const Lane&) const;

  Lane* next();  // the thread to run, or null if none can
  Lane* random_next();
  void suspend();  // the running thread waits; returns when it is ready and its turn
  void yield();    // lets others run first if the schedule says so
  void switch_to(Lane&);
  void report_deadlock();
  void stop_for_race();
  void note_global_write(const void* address, std::size_t bytes, const void* pc);
  std::uint32_t random();

  void make_ready(unsigned warp, std::uint32_t mask);
  void unready(const Lane&);
  bool release_barrier();
  Rendezvous& meet(const char* operation, bool aligned, std::uint32_t mask, Place);

  std::vector<Lane> lanes_;
  Fiber main_;
  std::vector<Warp> warps_;
  Barrier barrier_;
  std::uint32_t ready_warps_ = 0;
  unsigned threads_ = 0, live_ = 0;
  std::uint64_t random_state_ = 0;
  std::byte* arena_ = nullptr;  // red zone | shared memory | red zone
  std::byte* shared_ = nullptr;
  std::optional<KernelFault> fault_;
  RaceDetector race_;
  bool raced_ = false;
  std::vector<GlobalWrite> global_writes_;
};

/// `0-3,7` for mask 0x8f.
std::string lanes_text(std::uint32_t mask);

/// ` at prefill.cu:61`; empty for an unknown place.
std::string place_text(Place);

/// The block that runs on this OS thread. A block never changes its OS thread, so it does not
/// matter that compilers keep addresses of thread-locals across a switch of fibers.
extern constinit thread_local Block* current_block;

/// Runs all blocks, on the threads of OpenMP. Throws KernelFault: of the first block, in launch
/// order, that has one.
void run_grid(const Grid&);

}  // namespace attest::emulator
