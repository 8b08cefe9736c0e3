#include "harness/tolerance.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "harness/gates.h"
#include "harness/rounding.h"

namespace attest {
namespace {

/// Stands for "no bound": large, yet two of them multiply to a finite number, so that 0 stays 0.
constexpr double kHuge = 1e150;

/// gamma_h(u) = h u / (1 - h u): relative error of a sum or product with depth h.
double gamma(double depth, double u) { return depth * u < 1 ? depth * u / (1 - depth * u) : kHuge; }

double gamma(Index depth, double u) { return gamma(static_cast<double>(depth), u); }

/// The type beside the MMA: its smallest numbers bound what underflow loses.
Dtype arithmetic(const Descriptor& d) {
  return d.u_a > unit_roundoff(Dtype::fp64) ? Dtype::fp32 : Dtype::fp64;
}

/// Below this the exponential returns 0. [6]
double smallest_exponential(const Descriptor& d) {
  return std::ldexp(1.0, format_of(arithmetic(d)).min_exponent);
}

/// Blocks that the keys of a row lie in: side by side from key 0 on, or from any key on, or
/// anywhere.
Index most_blocks(const Problem& p, const Descriptor& d, Index keys) {
  const Index from_start = (keys + d.block_k - 1) / d.block_k,
              all = (p.Sk + d.block_k - 1) / d.block_k;
  if (p.attn_bias != PerPair::none || p.attn_mask != PerPair::none) return std::min(keys, all);
  return p.window.left < 0 ? from_start : std::min({keys, all, from_start + 1});
}

/// Rescales of the running sums: at most one a block of keys, and one by the sink. [4]
double most_rescales(const Problem& p, const Descriptor& d, const RowConditioning& row) {
  const Index of_sink = p.sink != Sink::none, keys = row.visible - of_sink;
  const Index in_split = d.splits == 1 ? p.Sk : (p.Sk + d.splits - 1) / d.splits;
  const Index blocks = std::min(most_blocks(p, d, keys), (in_split + d.block_k - 1) / d.block_k);
  return static_cast<double>(blocks + of_sink);
}

/// Rounding of a factor that a cache's scale was multiplied into. [2, 7]
double of_cache_scale(const Problem& p, const Descriptor& d) { return p.kv ? d.u_a : 0; }

/// What cap, bias, sink and k_scale add to the error of a score z: of_a a + of_z |z|. [2]
struct ScoreError {
  double of_a = 0, of_z = 0;

  ScoreError(const Problem& p, const Descriptor& d) {
    const bool biased = p.alibi || p.attn_bias != PerPair::none;
    const double first = (p.softcap > 0 ? d.u_tanh + 2 * d.u_a : 0) + of_cache_scale(p, d);
    of_a = biased ? first + 4 * d.u_a : 0;
    of_z = (biased ? 4 * d.u_a : first) + (p.sink != Sink::none ? 2 * d.u_a : 0);
  }
};

/// How far the exponent of a key can be off, and what that does to p. [2, 3]
struct Exponent {
  double eta_a, eta_gap, eta_rest;  // eta_j <= eta_a a_j + eta_gap (m - s_j) + eta_rest
  double mean, largest;             // sum P eta and max eta
  double growth, spread;            // (e^x - 1) / x at the largest eta; e^mean

  /// accumulated: relative error of the sum q k.
  Exponent(double accumulated, const ScoreError& more, const Descriptor& d,
           const RowConditioning& row, double T)
      : eta_a(accumulated + more.of_a),
        eta_gap(4 * d.u_a + more.of_z),
        eta_rest((2 * d.u_a + more.of_z) * std::abs(row.row_max) + d.u_exp +
                 T * (d.u_exp + 3 * d.u_a)),
        mean(eta_a * row.mean_a + eta_gap * row.mean_gap + eta_rest),
        largest(eta_a * row.max_a + eta_gap * row.max_gap + eta_rest),
        growth(largest > 0 ? std::min(std::expm1(largest) / largest, kHuge) : 1),
        spread(std::min(std::exp(mean), kHuge)) {}

  /// Relative error that this gives l. [L]
  double of_l() const { return std::min(growth * spread * mean, kHuge); }
};

/// Coefficients of one row: every bound is linear in the conditioning of an element.
struct RowModel {
  Exponent hard, stat;                // whatever order the hardware adds in; typical [2, S3]
  double u_p = 0;                     // rounding of p, relative  [5]
  double top_p = 0, rest_p = 0;       // its effect by keys with p = 1 and by the others  [5]
  double underflow = 0, floor = 0;    // lost by underflow in p and in the sums  [6]
  double hard_sum = 0, stat_sum = 0;  // errors of the numerator, relative to sum P |v|  [8, S2, S3]
  double typical_sum = 0;             // the same, of a typical row  [R1]
  double hard_row = 0, stat_row = 0;  // of row sum and division, relative to o  [7]
  double hard_lse = 0, stat_lse = 0;  // relative error of l, merge included  [L]
};

/// What the rounding of p does. [5, 6]
void set_p(RowModel& c, const Descriptor& d, const RowConditioning& row) {
  const double u_p = unit_roundoff(d.p_type);
  c.u_p = u_p > d.u_a ? u_p : 0;
  c.top_p = std::min(c.u_p, 2 * (c.hard.eta_a * row.max_a + c.hard.eta_rest));
  c.rest_p = 2 * c.u_p * std::sqrt(static_cast<double>(row.visible)) *
             std::min(std::exp(2 * c.hard.largest), kHuge);
  const double lost = std::max(min_subnormal(d.p_type) / 2, smallest_exponential(d));
  c.underflow = c.hard.spread * lost / row.row_sum;
}

/// (1 + a) (1 + b) - 1.
double both(double a, double b) { return a + b + a * b; }

/// 1 / (1 - x) - 1: what a relative error x of a denominator does.
double of_divisor(double x) { return x < 1 ? x / (1 - x) : kHuge; }

RowModel model(const Problem& p, const Descriptor& d, const RowConditioning& row) {
  const double T = most_rescales(p, d, row), raises = std::min(T, row.max_raises);
  const double typical_T = d.splits == 1 ? raises : T;
  const ScoreError more(p, d);
  RowModel c{.hard = {gamma(d.depth_qk, d.u_acc), more, d, row, T},
             .stat = {gamma(d.chain_qk, d.u_acc), more, d, row, typical_T}};
  set_p(c, d, row);

  const auto splits = static_cast<double>(d.splits);
  const auto depth_l = static_cast<double>(d.depth_l);
  c.floor =
      (static_cast<double>(d.depth_pv) + 2 * T + 2 * splits + 4) * min_subnormal(arithmetic(d));

  const double magnitude = std::abs(row.lse) + std::abs(row.row_max) + 1;
  const double x = d.splits > 1 ? (splits + 5) * d.u_a + 2 * d.u_exp + 4 * d.u_a * magnitude : 0;
  const double merge = d.splits > 1 ? 2 * x + 2 * gamma(d.depth_l, d.u_a) : 0;

  const double sum = gamma(d.depth_pv, d.u_acc), rescale = gamma(2 * T, d.u_a);
  c.hard_sum = (1 + c.u_p) * both(both(sum, rescale), merge);
  const bool truncates = d.u_acc > d.u_a;  // errors of one sign: they add up linearly [S2]
  const auto chain_pv = static_cast<double>(d.chain_pv);
  const double chain = gamma(chain_pv, d.u_acc);
  c.stat_sum = (truncates ? chain : std::min(chain, kLambda * std::sqrt(chain_pv) * d.u_acc)) +
               std::min(rescale, kLambda * std::sqrt(2 * typical_T) * d.u_a) + merge;
  c.typical_sum = kTypicalSum * (chain + merge);

  const double row_sum = gamma(d.depth_l, d.u_a);
  double rounded = 0, stat_rounded = 0;  // of p, where l adds the rounded p [7]
  if (d.l_from_rounded_p) {
    const double flushed = c.underflow * static_cast<double>(row.visible);
    rounded = c.u_p + flushed;
    stat_rounded = std::min(c.u_p, kLambda * 2 * c.u_p / std::sqrt(3 * row.row_sum)) + flushed;
  }
  const double hard_l = row_sum + rescale + rounded;
  const double stat_l = std::min(row_sum, kLambda * std::sqrt(depth_l) * d.u_a) + stat_rounded;
  const double ending = 4 * d.u_a + of_cache_scale(p, d);
  c.hard_row = of_divisor(hard_l) + ending;
  c.stat_row = std::min(c.hard_row, stat_l + ending);
  c.hard_lse = c.hard.of_l() + hard_l + x;
  c.stat_lse = c.stat.of_l() + row_sum + rounded + 2 * typical_T * d.u_a + x;
  return c;
}

/// 2^floor(log2 |x|), at least `smallest`: the binade that a number is rounded in.
inline double binade(double x, double smallest) {
  const double power =
      std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & (std::uint64_t{0x7FF} << 52));
  return power > smallest ? power : smallest;
}

/// By value: std::min's references keep the loop over elements from becoming vector code.
inline double smaller(double a, double b) { return a < b ? a : b; }

/// Variances of the roundings of one row. [R1]
struct Variance {
  double p, flush, row;  // factors of second_moment, (sum |v|)^2 and o^2
  double sum;            // typical error of the sums, relative to sum P |v|
  double zeroed;         // of exponentials that are 0, relative to sum |v|
};

Variance variance(const RowModel& c, const Descriptor& d, const RowConditioning& row) {
  const double of_p = c.u_p * c.u_p / 3, step = min_subnormal(d.p_type);
  const double l = row.row_sum, visible = static_cast<double>(row.visible);
  return {
      .p = of_p,
      .flush = step * step / 12 * std::numbers::pi / 2 / (visible * l * l),
      .row = static_cast<double>(d.depth_l) * d.u_a * d.u_a + (d.l_from_rounded_p ? of_p / l : 0),
      .sum = c.typical_sum,
      .zeroed = smallest_exponential(d) / (std::sqrt(3.0) * l)};
}

/// Bounds of elements that round. [3-9, S, R]
void derive_elements(const RowModel& c, const Descriptor& d, const RowConditioning& row,
                     const RowBounds& out) {
  const double u_o = unit_roundoff(d.o_type), half = min_subnormal(d.o_type) / 2;
  const double smallest = std::ldexp(1.0, format_of(d.o_type).min_exponent);
  const double stat_p = kLambda * 2 * c.u_p / std::sqrt(3.0);
  const double hard_factor = c.hard.growth * c.hard.spread;
  const double stat_factor = c.stat.growth * c.stat.spread;
  const Variance var = variance(c, d, row);
  const std::size_t width = row.o.size();
#pragma omp simd
  for (std::size_t k = 0; k < width; ++k) {
    const double o = std::abs(row.o[k]), mag = row.abs_mag[k], all_v = row.visible_abs_v[k];
    const double mag_a = row.abs_mag_a[k], mag_gap = row.abs_mag_gap[k];
    const double eta = c.hard.eta_a * mag_a + c.hard.eta_gap * mag_gap + c.hard.eta_rest * mag;
    const double soft = hard_factor * (eta + o * c.hard.mean);         // [3]
    const double moved = c.hard.spread * (mag + c.hard.growth * eta);  // sum P~ |v|  [3]
    const double lost = c.underflow * all_v + c.floor;

    const double root = std::sqrt(row.second_moment[k]);
    const double hard_p = smaller(c.u_p * moved, c.top_p * moved + c.rest_p * root);  // [5]
    const double hard_n = soft + hard_p + c.hard_sum * moved + lost;
    const double hard_o = hard_n * (1 + c.hard_row) + c.hard_row * o;
    const double hard = (1 + u_o) * hard_o + u_o * o + half;  // [9]

    const double rounded_p = smaller(hard_p, stat_p * root);  // [S1]
    const double stat_eta = c.stat.eta_a * mag_a + c.stat.eta_gap * mag_gap + c.stat.eta_rest * mag;
    const double stat_soft = stat_factor * (stat_eta + o * c.stat.mean);  // [S3]
    const double stat_n = stat_soft + rounded_p + c.stat_sum * moved + lost;
    const double stat_o = stat_n * (1 + c.stat_row) + c.stat_row * o;
    const double stat = (1 + u_o) * stat_o + u_o * o + half;

    const double ulp = 2 * u_o * binade(o, smallest);
    const double typical_soft = kTypicalSoftmax * stat_soft, typical_sum = var.sum * mag;  // [R1]
    const double zeroed = var.zeroed * all_v;
    const double sigma2 = ulp * ulp / 12 + var.p * root * root + var.flush * all_v * all_v +
                          typical_soft * typical_soft + typical_sum * typical_sum +
                          zeroed * zeroed + var.row * o * o;
    out.hard_bound[k] = hard;
    out.stat_bound[k] = smaller(hard, stat);
    out.sigma[k] = std::sqrt(sigma2);
    out.systematic[k] = typical_soft + typical_sum + zeroed;
  }
}

/// Elements where nothing rounds: one key, or only zeros among the values. [E]
void pin_exact(const Problem& p, const Descriptor& d, const RowConditioning& row,
               const RowBounds& out) {
  const bool one_key = row.visible == 1 && stores_top_value(d, row);
  for (std::size_t k = 0; k < row.o.size(); ++k) {
    if (!one_key && row.visible_abs_v[k] > 0) continue;
    double bound = 0;  // v times its scale may have been rounded before it is stored
    for (const double x : {-4 * of_cache_scale(p, d), 4 * of_cache_scale(p, d)})
      bound = std::max(bound, std::abs(round_to(d.o_type, row.o[k] * (1 + x)) - row.o[k]));
    out.hard_bound[k] = out.stat_bound[k] = bound;
    out.sigma[k] = out.systematic[k] = 0;
  }
}

}  // namespace

bool stores_top_value(const Descriptor& d, double row_max) {
  const double error = d.u_a * std::abs(row_max) + 2 * d.u_exp + 8 * d.u_a;
  return error < unit_roundoff(d.o_type) / 4;
}

bool stores_top_value(const Descriptor& d, const RowConditioning& row) {
  return stores_top_value(d, row.row_max);
}

LseBounds derive_row(const Problem& p, const Descriptor& d, const RowConditioning& row,
                     const RowBounds& out) {
  const RowModel c = model(p, d, row);
  derive_elements(c, d, row, out);
  pin_exact(p, d, row, out);
  const double rounding = 4 * d.u_a * (std::abs(row.lse) + std::abs(row.row_max) + 1);
  const auto bound = [&](double t) { return t < 1 ? -std::log1p(-t) + rounding : kHuge; };  // [L]
  const double hard = bound(c.hard_lse);
  return {hard, std::min(hard, bound(c.stat_lse))};
}

Bounds derive_bounds(const Problem& p, const Truth& truth, const Descriptor& d) {
  const Conditioning conditioning(p, truth);
  const auto rows = static_cast<std::size_t>(p.B * p.Sq * p.H);
  const auto width = static_cast<std::size_t>(p.Dv);
  Bounds all{.hard_bound = std::vector<double>(rows * width),
             .stat_bound = std::vector<double>(rows * width),
             .sigma = std::vector<double>(rows * width),
             .lse_bound = std::vector<double>(rows),
             .lse_stat = std::vector<double>(rows)};
#pragma omp parallel
  {
    std::vector<double> systematic(width);
#pragma omp for collapse(3) schedule(static)
    for (Index b = 0; b < p.B; ++b)
      for (Index i = 0; i < p.Sq; ++i)
        for (Index h = 0; h < p.H; ++h) {
          if (conditioning.empty(b, i, h)) continue;
          const std::size_t first = static_cast<std::size_t>((b * p.Sq + i) * p.H + h) * width;
          const auto part = [&](std::vector<double>& v) {
            return std::span(v).subspan(first, width);
          };
          const LseBounds lse =
              derive_row(p, d, conditioning.row(b, i, h),
                         {part(all.hard_bound), part(all.stat_bound), part(all.sigma), systematic});
          const auto row = static_cast<std::size_t>((b * p.H + h) * p.Sq + i);
          all.lse_bound[row] = lse.hard;
          all.lse_stat[row] = lse.stat;
        }
  }
  return all;
}

}  // namespace attest
