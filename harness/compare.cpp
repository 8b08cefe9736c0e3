#include "harness/compare.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "harness/gates.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Rows of one unit of work. Fixed by the shape alone, so that sums have one order of addition.
Index rows_per_chunk(const Problem& p) { return std::max<Index>(1, 8192 / p.Dv); }

/// error / bound, 0 where both are 0. No branch, so that loops over elements become vector code.
inline double ratio_of(double error, double bound) {
  constexpr double kTiny = std::numeric_limits<double>::denorm_min();
  return error / (bound > 0 ? bound : kTiny);
}

struct Distributions {
  Histogram hard, stat, ulp;
  void add(const Distributions& other) {
    hard.add(other.hard);
    stat.add(other.stat);
    ulp.add(other.ulp);
  }
};

/// What one chunk of rows adds to the whole.
struct Chunk {
  Comparison part;
  std::vector<RowBias> bias;
};

/// Values of one row, of which sums and counts are taken; [Dv] each, kept between rows.
struct Scratch {
  explicit Scratch(std::size_t width)
      : hard(width), stat(width), ulp(width), z(width), inverse(width) {}

  std::vector<double> hard, stat, ulp;  // |error| / bound, / ulp of sum P |v|
  std::vector<double> z, inverse;       // error / sigma, 1 / sigma; 0 where sigma is 0
};

/// Constants of the loop over elements.
struct Units {
  double ulp_of_one, smallest;
  double bias_row_sum;  ///< least row sum of rows that the bias is taken of
};

Units units_of(const Descriptor& d) {
  const double u_o = unit_roundoff(d.o_type);
  return {.ulp_of_one = 2 * u_o,
          .smallest = std::ldexp(1.0, format_of(d.o_type).min_exponent),
          .bias_row_sum = 1 + kBiasSpread * u_o};
}

inline double ulp_of(double magnitude, const Units& units) {
  const double binade =
      std::bit_cast<double>(std::bit_cast<std::uint64_t>(magnitude) & (std::uint64_t{0x7FF} << 52));
  return units.ulp_of_one * (binade > units.smallest ? binade : units.smallest);
}

// The loops below stay short, a few sums each, so that they become vector code; a row is in cache.

void relate(const ComparedRow& row, const Units units, Scratch& scratch) {
  double *hard = scratch.hard.data(), *stat = scratch.stat.data(), *ulp = scratch.ulp.data();
  double *z = scratch.z.data(), *inverse = scratch.inverse.data();
  const auto error = row.error, hard_bound = row.hard_bound, stat_bound = row.stat_bound;
  const auto sigma = row.sigma, magnitude = row.abs_mag;
#pragma omp simd
  for (std::size_t k = 0; k < error.size(); ++k) {
    const double size = std::abs(error[k]);
    hard[k] = ratio_of(size, hard_bound[k]);
    stat[k] = ratio_of(size, stat_bound[k]);
    ulp[k] = size / ulp_of(magnitude[k], units);
    const double rounds = sigma[k] > 0 ? 1.0 : 0.0;
    const double per_sigma = rounds / (sigma[k] + (1 - rounds));
    inverse[k] = per_sigma;
    z[k] = error[k] * per_sigma;
  }
}

/// Sums of squares of the row's values.
void add_squares(const ComparedRow& row, const Scratch& scratch, Sums& s) {
  const auto error = row.error, want = row.want, magnitude = row.abs_mag, sigma = row.sigma;
  const auto hard = row.hard_bound, stat = row.stat_bound;
  const double* z = scratch.z.data();
  double z2 = 0, error2 = 0, want2 = 0, magnitude2 = 0, hard2 = 0, stat2 = 0, sigma2 = 0;
#pragma omp simd reduction(+ : z2, error2, want2, magnitude2, hard2, stat2, sigma2)
  for (std::size_t k = 0; k < error.size(); ++k) {
    z2 += z[k] * z[k];
    error2 += error[k] * error[k];
    want2 += want[k] * want[k];
    magnitude2 += magnitude[k] * magnitude[k];
    hard2 += hard[k] * hard[k];
    stat2 += stat[k] * stat[k];
    sigma2 += sigma[k] * sigma[k];
  }
  s.z2 = z2;
  s.error2 = error2;
  s.want2 = want2;
  s.abs_mag2 = magnitude2;
  s.hard2 = hard2;
  s.stat2 = stat2;
  s.sigma2 = sigma2;
  s.count = static_cast<Index>(error.size());
}

/// Largest ratios and failures: an element passes if "<=", which no NaN does.
double add_extremes(const ComparedRow& row, const Scratch& scratch, Metrics& m) {
  const auto error = row.error, hard_bound = row.hard_bound, stat_bound = row.stat_bound;
  const double *hard = scratch.hard.data(), *stat = scratch.stat.data(), *ulp = scratch.ulp.data();
  double hard_max = 0, stat_max = 0, ulp_max = 0;
  double hard_passing = 0, stat_passing = 0;  // counted as doubles, the lanes of the comparison
#pragma omp simd reduction(max : hard_max, stat_max, ulp_max) \
    reduction(+ : hard_passing, stat_passing)
  for (std::size_t k = 0; k < error.size(); ++k) {
    hard_max = hard[k] > hard_max ? hard[k] : hard_max;
    stat_max = stat[k] > stat_max ? stat[k] : stat_max;
    ulp_max = ulp[k] > ulp_max ? ulp[k] : ulp_max;
    hard_passing += std::abs(error[k]) <= hard_bound[k] ? 1.0 : 0.0;
    stat_passing += std::abs(error[k]) <= stat_bound[k] ? 1.0 : 0.0;
  }
  const auto count = static_cast<Index>(error.size());
  m.hard_failing += count - static_cast<Index>(hard_passing);
  m.stat_failing += count - static_cast<Index>(stat_passing);
  m.hard_ratio = std::max(m.hard_ratio, hard_max);
  m.stat_ratio = std::max(m.stat_ratio, stat_max);
  m.ulp_max = std::max(m.ulp_max, ulp_max);
  return hard_max;
}

/// The row's rho and bias; elements that do not round take no part.
void add_statistics(const ComparedRow& row, const Units& units, const Scratch& scratch, Sums& s,
                    Chunk& chunk) {
  const auto want = row.want, systematic = row.systematic;
  const double *z = scratch.z.data(), *inverse = scratch.inverse.data();
  double rounding = 0, lean = 0, explained = 0;
#pragma omp simd reduction(+ : rounding, lean, explained)
  for (std::size_t k = 0; k < want.size(); ++k) {
    rounding += inverse[k] > 0 ? 1.0 : 0.0;
    lean += want[k] < 0 ? -z[k] : z[k];
    explained += systematic[k] * inverse[k];
  }
  s.z2_count = static_cast<Index>(rounding);
  if (s.z2_count == 0) return;
  ++chunk.part.statistical_rows;
  if (row.row_sum >= units.bias_row_sum)
    chunk.bias.push_back({lean / rounding, explained / rounding});
  Metrics& m = chunk.part.metrics;
  m.rho_row = std::max(m.rho_row, std::sqrt(s.z2 / rounding));
}

void add_row(const ComparedRow& row, Index n, const Units& units, Scratch& scratch,
             Distributions& counts, Chunk& chunk) {
  Metrics& m = chunk.part.metrics;
  m.nonfinite_failing += row.wrong_class + (row.lse_state == kWrongClass);
  m.exact_failing += row.not_exact + (row.lse_state == kNotExact);
  if (row.empty) return;

  const double rho_before = m.rho_row;
  Sums sums;
  relate(row, units, scratch);
  add_squares(row, scratch, sums);
  add_statistics(row, units, scratch, sums, chunk);
  chunk.part.sums.add(sums);
  if (m.rho_row > rho_before) chunk.part.worst_rho_row = n;
  ++chunk.part.rows;
  for (std::size_t k = 0; k < row.want.size(); ++k) {
    counts.hard.add(scratch.hard[k]);
    counts.stat.add(scratch.stat[k]);
    counts.ulp.add(scratch.ulp[k]);
  }
  if (add_extremes(row, scratch, m) > chunk.part.worst.threshold())
    for (std::size_t k = 0; k < row.want.size(); ++k)
      if (scratch.hard[k] > chunk.part.worst.threshold())
        chunk.part.worst.add({scratch.hard[k], n, static_cast<Index>(k)});

  const double lse_error = std::abs(row.lse_error);
  const double lse_ratio = ratio_of(lse_error, row.lse_bounds.hard);
  m.lse_failing += !(lse_error <= row.lse_bounds.hard);
  m.lse_stat_failing += !(lse_error <= row.lse_bounds.stat);
  m.lse_ratio = std::max(m.lse_ratio, lse_ratio);
  m.lse_stat_ratio = std::max(m.lse_stat_ratio, ratio_of(lse_error, row.lse_bounds.stat));
  chunk.part.worst.add({lse_ratio, n, -1});
}

void merge(Comparison& all, const Comparison& part) {
  Metrics& m = all.metrics;
  const Metrics& other = part.metrics;
  if (other.rho_row > m.rho_row) all.worst_rho_row = part.worst_rho_row;
  for (double Metrics::*largest_of :
       {&Metrics::hard_ratio, &Metrics::stat_ratio, &Metrics::lse_ratio, &Metrics::lse_stat_ratio,
        &Metrics::rho_row, &Metrics::ulp_max})
    m.*largest_of = std::max(m.*largest_of, other.*largest_of);
  for (Index Metrics::*count :
       {&Metrics::nonfinite_failing, &Metrics::exact_failing, &Metrics::hard_failing,
        &Metrics::stat_failing, &Metrics::lse_failing, &Metrics::lse_stat_failing})
    m.*count += other.*count;
  for (const Offender& offender : part.worst.list()) all.worst.add(offender);
  all.rows += part.rows;
  all.statistical_rows += part.statistical_rows;
  all.sums.add(part.sums);
}

/// Statistics of the whole from its sums.
void finish(Comparison& all, const std::vector<RowBias>& bias, const Distributions& counts) {
  Metrics& m = all.metrics;
  const Sums& s = all.sums;
  const auto share = [](double part, double whole) {
    return part == 0 ? 0 : whole == 0 ? kInfinity : part / whole;
  };
  all.bias_rows = static_cast<Index>(bias.size());
  m.rho = std::sqrt(share(s.z2, static_cast<double>(s.z2_count)));
  m.bias_z = bias_z(bias);
  m.nmse = share(s.error2, s.want2);
  m.nmse_a = share(s.error2, s.abs_mag2);
  m.rms = std::sqrt(share(s.want2, static_cast<double>(s.count)));
  m.hard_median = counts.hard.quantile(0.5);
  m.stat_median = counts.stat.quantile(0.5);
  m.ulp_p99 = counts.ulp.quantile(0.99);
}

}  // namespace

void WorstList::add(Offender offender) {
  if (!(offender.ratio > threshold())) return;
  const auto place = std::find_if(list_.begin(), list_.end(),
                                  [&](const Offender& o) { return o.ratio < offender.ratio; });
  list_.insert(place, offender);
  if (list_.size() > kLength) list_.pop_back();
}

Comparison compare(const Problem& p, const Truth& truth, const Descriptor& d,
                   const TensorSet& outputs, bool exact) {
  const Index rows = p.B * p.Sq * p.H, step = rows_per_chunk(p), chunks = (rows + step - 1) / step;
  const Units units = units_of(d);
  std::vector<Chunk> parts(static_cast<std::size_t>(chunks));
  Distributions counts;
  const RowReader first_reader(p, truth, d, outputs, exact);  // throws here, not in a thread
#pragma omp parallel
  {
    RowReader reader = first_reader;
    Scratch scratch(static_cast<std::size_t>(p.Dv));
    Distributions mine;
#pragma omp for schedule(dynamic)
    for (Index c = 0; c < chunks; ++c)
      for (Index n = c * step; n < std::min(rows, (c + 1) * step); ++n)
        add_row(reader.read(n), n, units, scratch, mine, parts[static_cast<std::size_t>(c)]);
#pragma omp critical
    counts.add(mine);
  }
  Comparison all;
  std::vector<RowBias> bias;
  for (const Chunk& part : parts) {
    merge(all, part.part);
    bias.insert(bias.end(), part.bias.begin(), part.bias.end());
  }
  finish(all, bias, counts);
  return all;
}

}  // namespace attest
