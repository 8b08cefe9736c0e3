#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cases/case.h"
#include "harness/record.h"

namespace attest {

/// What takes time in an emulated case, each with a constant of its own (cost.cpp).
enum class Work {
  mma,           ///< products of a warp, in every kernel
  prefill,       ///< a block's passes over one tile of keys, by kernel
  decode,        ///< the same
  mla_decode,    ///< the same
  ffma,          ///< the same
  fma,           ///< multiply-adds of ffma
  gemm,          ///< a block's passes over one tile of K
  block,         ///< blocks of any kernel
  run,           ///< runs of a case, three where unused slots are filled in turn, on each rank
  drawn,         ///< elements of the inputs
  truth,         ///< floating-point operations of the reference
  truth_row,     ///< rows of scores of the reference
  judged,        ///< elements that are compared
  judged_flops,  ///< operations that the judge repeats: the stages of a layer
  cases,         ///< 1
};
constexpr std::size_t kWorks = static_cast<std::size_t>(Work::cases) + 1;
using WorkCounts = std::array<double, kWorks>;

/// What an emulated case takes, from its sizes alone; run.kernel is set.
WorkCounts work_of(const Case&);

/// CPU seconds on a machine whose emulator takes `probe` seconds for an mma (mma_probe_seconds()).
/// A sum over many cases is right within a factor of two, not each case.
Timing estimate(const WorkCounts&, double probe);

/// Table of variants and kernels: number of cases and estimated seconds; then the total, and how
/// long it takes with a worker on each of `cores` that do nothing else. Cases on a GPU are left
/// out, and counted.
std::string cost_table(const std::vector<Case>&, double probe, int cores);

/// A line for each shard of the n of "i/n": cases and estimated seconds.
std::string shard_costs(const std::vector<Case>&, std::string_view shard, double probe);

}  // namespace attest
