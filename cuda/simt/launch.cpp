// Options, statistics, and the loop over the blocks of a grid.
#include <atomic>
#include <cstdint>
#include <exception>
#include <limits>
#include <mutex>
#include <vector>

#include "cases/error.h"
#include "cuda/simt/block.h"

namespace attest::emulator {
namespace {

std::atomic<Schedule> current_schedule{0};
std::mutex totals_mutex;
Statistics totals;

/// The fault of the earliest block in launch order: the same one for any number of OS threads,
/// since blocks start in order and those before a faulting one still run to their end.
class FirstFault {
 public:
  bool is_before(std::int64_t order) {
    const std::lock_guard lock(mutex_);
    return order_ < order;
  }
  void add(std::int64_t order, std::exception_ptr fault) {
    const std::lock_guard lock(mutex_);
    if (order < order_) order_ = order, fault_ = std::move(fault);
  }
  void rethrow() const {
    if (fault_) std::rethrow_exception(fault_);
  }

 private:
  std::mutex mutex_;
  std::int64_t order_ = std::numeric_limits<std::int64_t>::max();
  std::exception_ptr fault_;
};

void add_to_totals(Statistics& part) {
  const std::lock_guard lock(totals_mutex);
  totals.blocks += part.blocks;
  totals.mma += part.mma;
  totals.collectives += part.collectives;
  totals.barriers += part.barriers;
  totals.switches += part.switches;
  part = {};
}

/// The limits of the CUDA Programming Guide, "Compute Capabilities".
void check_shape(const Grid& g) {
  const auto require = [&g](bool holds, const std::string& rule) {
    if (!holds) throw KernelFault(FaultKind::misuse, "launch: " + rule + place_text(g.place));
  };
  const auto text = [](Dim3 d) { return concat(" (", d.x, ", ", d.y, ", ", d.z, ")"); };
  const std::uint64_t threads = std::uint64_t{g.block.x} * g.block.y * g.block.z;
  require(threads >= 1 && threads <= kMaxThreads && g.block.z <= 64,
          concat("a block has 1 to ", kMaxThreads, " threads, z at most 64, got", text(g.block)));
  require(g.grid.x >= 1 && g.grid.y >= 1 && g.grid.z >= 1 && g.grid.x <= 0x7fffffff &&
              g.grid.y <= 65535 && g.grid.z <= 65535,
          concat("a grid has 1 to 2147483647 x 65535 x 65535 blocks, got", text(g.grid)));
  require(g.shared_bytes <= kMaxSharedBytes,
          concat("a block has at most ", kMaxSharedBytes, " bytes of shared memory, got ",
                 g.shared_bytes));
}

}  // namespace

void set_schedule(Schedule schedule) { current_schedule = schedule; }
Schedule schedule() { return current_schedule; }

Statistics statistics() {
  const std::lock_guard lock(totals_mutex);
  return totals;
}
void reset_statistics() {
  const std::lock_guard lock(totals_mutex);
  totals = {};
}

void run_grid(const Grid& grid) {
  check_shape(grid);
  const std::int64_t nx = grid.grid.x, ny = grid.grid.y, count = nx * ny * grid.grid.z;
  FirstFault first;
  std::vector<GlobalWrite> writes;
#pragma omp parallel if (count > 1)
  {
    static thread_local Block block;
#pragma omp for schedule(monotonic : dynamic)
    for (std::int64_t order = 0; order < count; ++order) {
      if (first.is_before(order)) continue;
      const std::int64_t n = grid.schedule == 1 ? count - 1 - order : order;
      const Dim3 index(static_cast<unsigned>(n % nx), static_cast<unsigned>(n / nx % ny),
                       static_cast<unsigned>(n / nx / ny));
      try {
        block.run(grid, index);
      } catch (const KernelFault& fault) {
        const std::string text = concat(fault.what(), ", launched", place_text(grid.place));
        first.add(order, std::make_exception_ptr(KernelFault(fault.kind(), text)));
      } catch (...) {
        first.add(order, std::current_exception());
      }
    }
    add_to_totals(block.statistics);
    if constexpr (kRaceBuild) {
#pragma omp critical
      block.move_global_writes(writes);
    }
  }
  first.rethrow();
  if (const auto race = find_global_race(writes))
    throw KernelFault(FaultKind::race,
                      concat(race_text(*race), ", launched", place_text(grid.place)));
}

}  // namespace attest::emulator
