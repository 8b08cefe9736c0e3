#include "harness/metrics.h"

#include <algorithm>
#include <cmath>

namespace attest {

void Histogram::add(const Histogram& other) {
  for (std::size_t n = 0; n < count_.size(); ++n) count_[n] += other.count_[n];
}

double Histogram::quantile(double share) const {
  std::uint64_t total = 0;
  for (const std::uint64_t count : count_) total += count;
  const double wanted = share * static_cast<double>(total);
  std::uint64_t seen = 0;
  for (int n = 0; n < kBuckets; ++n) {
    seen += count_[static_cast<std::size_t>(n)];
    if (total == 0 || static_cast<double>(seen) < wanted) continue;
    if (n == 0) return 0;
    const int octave = n / kSteps, step = n % kSteps;  // upper edge of bucket n
    return std::ldexp(1 + static_cast<double>(step) / kSteps, octave + kLowest);
  }
  return 0;
}

void Sums::add(const Sums& other) {
  z2 += other.z2;
  z2_count += other.z2_count;
  error2 += other.error2;
  want2 += other.want2;
  abs_mag2 += other.abs_mag2;
  hard2 += other.hard2;
  stat2 += other.stat2;
  sigma2 += other.sigma2;
  count += other.count;
}

double bias_z(std::span<const RowBias> rows) {
  if (rows.size() < 2) return 0;
  const auto count = static_cast<double>(rows.size());
  double mean = 0, explained = 0, deviation2 = 0;
  for (const RowBias& row : rows) {
    mean += row.mean / count;
    explained += row.explained / count;
  }
  for (const RowBias& row : rows) deviation2 += (row.mean - mean) * (row.mean - mean) / (count - 1);
  const double excess = std::max(0.0, std::abs(mean) - explained);
  return excess > 0 ? excess / std::sqrt(deviation2 / count) : 0;
}

}  // namespace attest
