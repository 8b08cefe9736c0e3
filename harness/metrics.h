#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "cases/dtype.h"

namespace attest {

/// How far a kernel's outputs are from the truth, as numbers that can be followed over time.
///
/// Elements of rows that see no key are left out: they are judged exactly. A ratio is 0 where error
/// and bound are both 0. Medians and percentiles come from a histogram, at most 3.2 % too high.
struct Metrics {
  double hard_ratio = 0;      ///< largest |error of o| / hard bound
  double stat_ratio = 0;      ///< largest |error of o| / statistical bound
  double lse_ratio = 0;       ///< largest |error of lse| / its hard bound
  double lse_stat_ratio = 0;  ///< largest |error of lse| / its statistical bound
  double hard_median = 0;     ///< median of |error of o| / hard bound
  double stat_median = 0;     ///< median of |error of o| / statistical bound

  double rho = 0;      ///< sqrt(mean(error^2 / sigma^2)); near 1 where the model explains the error
  double rho_row = 0;  ///< largest sqrt(mean_d(error^2 / sigma^2)) of a row
  double bias_z = 0;   ///< standard errors by which mean_d(error sign(o) / sigma) leaves 0
  double nmse = 0;     ///< sum error^2 / sum o^2
  double nmse_a = 0;   ///< sum error^2 / sum (sum_j P_j |v_j|)^2

  double ulp_max = 0;  ///< largest |error| in units in the last place (of o's type) of sum P |v|
  double ulp_p99 = 0;  ///< its 99th percentile

  double rms = 0;       ///< root mean square of the true o
  double tightest = 0;  ///< root mean square error that the tightest gate would still pass

  Index nonfinite_failing = 0;  ///< elements of o and lse whose class (finite, inf, NaN) is wrong
  Index exact_failing = 0;  ///< elements that must be exact (exact fills, empty rows) and differ
  Index hard_failing = 0, stat_failing = 0;     ///< elements of o beyond the bound
  Index lse_failing = 0, lse_stat_failing = 0;  ///< rows of lse beyond the bound

  /// The larger of hard_ratio and lse_ratio: how close the case came to the edge of rounding.
  double worst_ratio() const { return hard_ratio > lse_ratio ? hard_ratio : lse_ratio; }
};

/// Counts of positive numbers by size: 32 buckets a factor of two, from 2^-32 to 2^32.
class Histogram {
 public:
  void add(double value) { ++count_[bucket(value)]; }
  void add(const Histogram& other);

  /// Smallest bucket edge that at least `share` (in (0, 1]) of all values do not exceed: the
  /// quantile, at most 3.2 % too high; 0 for values below 2^-32 and where there are no values.
  double quantile(double share) const;

 private:
  static constexpr int kSteps = 32, kLowest = -32, kHighest = 32;
  static constexpr int kDroppedBits = 52 - 5;  // 2^5 = kSteps
  static constexpr int kBuckets = 2 + kSteps * (kHighest - kLowest);

  // The bits of a double, read as an integer, count exponent and leading fraction bits together:
  // five of those bits make 32 steps a factor of two. Bucket 0 holds what lies below 2^-32, the
  // last one what reaches 2^32.
  static std::size_t bucket(double value) {
    constexpr std::int64_t kFirst = (std::int64_t{1023} + kLowest) * kSteps;
    const std::int64_t step = (std::bit_cast<std::int64_t>(value) >> kDroppedBits) - kFirst + 1;
    return static_cast<std::size_t>(std::clamp<std::int64_t>(step, 0, kBuckets - 1));
  }

  std::array<std::uint64_t, kBuckets> count_{};
};

/// Sums over rows, from which the whole-tensor statistics follow. Order of addition is the
/// caller's, so that it can be kept the same for any number of threads.
struct Sums {
  double z2 = 0;       ///< error^2 / sigma^2
  Index z2_count = 0;  ///< elements with sigma > 0
  double error2 = 0, want2 = 0, abs_mag2 = 0;
  double hard2 = 0, stat2 = 0, sigma2 = 0;  ///< squares of the bounds
  Index count = 0;                          ///< elements of rows that see a key

  void add(const Sums& other);
};

/// Mean of error * sign(o) / sigma over one row, and how far errors that need not change sign (of
/// the exponent, of truncating sums) may move it.
struct RowBias {
  double mean = 0, explained = 0;
};

/// z = (|mean of the rows| - mean explained) / (standard deviation / sqrt(rows)), at least 0.
/// 0 for fewer than two rows.
double bias_z(std::span<const RowBias>);

}  // namespace attest
