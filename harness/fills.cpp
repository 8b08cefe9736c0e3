// The recipes of all fills, a line or two each, and why each exists. Scores are s = q.k / sqrt(D);
// z stands for a normal draw, u for a uniform one in [0, 1). Every product is exact or the last
// step (0.3125 z, not 0.3 z), so that fused multiply-adds change no bit.
#include "harness/fills.h"

#include <bit>
#include <cmath>

#include "cases/error.h"

namespace attest {
namespace {

/// A channel of a row: its index and its draw (made only when asked for).
struct Element {
  const Row& row;
  Index d;

  double normal() const { return row.at(d).normal(); }
  double uniform() const { return row.at(d).uniform(); }
  double heavy() const { return row.at(d).heavy(); }
};

template <double (*value)(const Element&)>
void rows(const Row& row, std::span<double> out) {
  for (std::size_t d = 0; d < out.size(); ++d) out[d] = value({row, static_cast<Index>(d)});
}

double sqrt_width(const Element& e) { return std::sqrt(static_cast<double>(e.row.problem.D)); }

double zero(const Element&) { return 0; }

// normal: s ~ N(0, 1). The baseline.
double normal(const Element& e) { return e.normal(); }

// um11, u01: s ~ z/3 and s ~ sqrt(D)/4. As V of u01 has a mean, an error of the row sum or of one P
// moves all channels of a row together (coherent); a narrow accumulator shows.
double symmetric(const Element& e) { return 2 * e.uniform() - 1; }
double uniform(const Element& e) { return e.uniform(); }

// peaked: s ~ 8 z, a few keys a row carry the softmax. Running maximum, slope of exp, scores
// rounded to 16 bits.
double peaked_q(const Element& e) { return 8 * e.normal(); }

// flat: s ~ 0.01 z, every key weighs the same. Row sums, tail keys.
double flat_q(const Element& e) { return 0.01 * e.normal(); }

// equal: s = 0, so p = 1 and o is the mean of the visible V: counts keys. V is an odd multiple of
// 1/8 up to 15/8, never 0, so that sums of up to 2^20 keys are exact in fp32. What is left is the
// rounding of one quotient, the same for every row of a mask-free head (coherent).
double equal_v(const Element& e) { return (2 * std::floor(16 * e.uniform()) - 15) / 8; }

// bigpos, bigneg: s ~ +-150 + z at every D. exp overflows without subtraction of the maximum;
// when the running maximum starts at 0 instead of -inf, every p of bigneg underflows.
double big_q(const Element& e) { return 3 + 0.3125 * e.normal(); }
double bigpos_k(const Element& e) { return 50 / sqrt_width(e) + 0.3125 * e.normal(); }
double bigneg_k(const Element& e) { return -50 / sqrt_width(e) + 0.3125 * e.normal(); }

// offset: adds 16 sum_d q / sqrt(D) ~ 16 z to all scores of a row, which softmax must not notice.
double offset_k(const Element& e) { return 16 + e.normal(); }

// ascend, descend: s_j = +-j/16 + z/4. Ascending, each 64 keys raise the running maximum by 4 and
// every block rescales; descending, none after the first does. The key's number is split into
// base-256 digits over channels 0, 1, 2, which every type holds exactly (D < 3: it wraps around).
constexpr Index kDigits = 3;
double ramp_q(const Element& e, double direction) {
  constexpr double kWeight[kDigits] = {1, 16, 256};
  return e.d < kDigits ? direction * sqrt_width(e) / 16 * kWeight[e.d] : 0.25 * e.normal();
}
double ascend_q(const Element& e) { return ramp_q(e, 1); }
double descend_q(const Element& e) { return ramp_q(e, -1); }
double ramp_k(const Element& e) {
  constexpr double kWeight[kDigits] = {1, 16, 256};
  if (e.d >= kDigits) return e.normal();
  return kWeight[e.d] * static_cast<double>(e.row.s >> 8 * e.d & 255);
}

// outlier: K times 20 in every 32nd channel, s ~ 3.6 z; V times 50 in every 64th. Scales per tensor
// against per channel, metrics that one channel dominates.
double outlier_k(const Element& e) { return (e.d % 32 == 0 ? 20 : 1) * e.normal(); }
double outlier_v(const Element& e) { return (e.d % 64 == 0 ? 50 : 1) * e.normal(); }

// heavy: rows of Q from flat to peaked, V of mixed magnitudes up to 6 * 2^8.
double heavy_q(const Element& e) { return e.heavy() / 4; }
double heavy(const Element& e) { return e.heavy(); }

// cancel: V of keys 2n and 2n+1 are opposite and s ~ z/16, so |o| is far below sum p |v|: tests
// that scale with |o| reject healthy kernels, sign errors show at once.
double cancel_q(const Element& e) { return e.normal() / 16; }
double cancel_v(const Element& e) {
  const Row& r = e.row;
  const double first = r.own.at(r.b, r.s / 2 * 2, r.h, e.d).normal();
  return r.s % 2 == 0 ? first : -first;
}

// twolevel: key 0, which every row sees, leads by g = 1 + 2u; all others are one and the same key,
// so their p is rounded by the same amount, and V > 0 adds these errors up (coherent).
double twolevel_q(const Element& e) {
  return e.d == 0 ? sqrt_width(e) * (0.5 + e.uniform()) : e.normal();
}
double twolevel_k(const Element& e) {
  const Row& r = e.row;
  if (e.d == 0) return r.s == 0 ? 2 : 0;
  return r.own.at(r.b, 0, r.h, e.d).normal();
}
double twolevel_v(const Element& e) { return 0.5 + e.uniform(); }

// onehot: o shows P itself, summed over the keys that share a channel.
double onehot_v(const Element& e) {
  return (7 * e.row.s + 13 * e.row.h) % e.row.problem.Dv == e.d ? 1 : 0;
}

// tailhot: V = 64 for the last two keys that any query sees and for all behind them, and for keys
// 63, 127, 255, 511 ... (few, so that one too many or too few still shows); else 0. A causal row
// that ends just before a hot key has o = 0 or a sum without it. Hot keys are the only terms of
// their sums: roundings line up (coherent).
double tailhot_v(const Element& e) {
  const Problem& p = e.row.problem;
  const Index last = p.visible(e.row.b).end - 1, s = e.row.s;
  const bool edge = s >= 63 && std::has_single_bit(static_cast<std::uint64_t>(s + 1));
  return s >= last - 1 || edge ? 64 : 0;
}

// denormal: |V| below the smallest normal number, s ~ 8 z so that most p < 2^-24: whoever flushes
// subnormals to zero or holds P in fp16 loses terms. Errors are whole subnormal steps (coherent).
double denormal_v(const Element& e) {
  return std::ldexp(2 * e.uniform() - 1, format_of(e.row.problem.cache_dtype()).min_exponent);
}

constexpr RowRecipe kNormal = rows<normal>;

constexpr Recipe kRecipes[] = {
    {Fill::normal, kNormal, kNormal, kNormal},
    {Fill::um11, rows<symmetric>, rows<symmetric>, rows<symmetric>},
    {Fill::u01, rows<uniform>, rows<uniform>, rows<uniform>},
    {Fill::peaked, rows<peaked_q>, kNormal, kNormal},
    {Fill::flat, rows<flat_q>, kNormal, kNormal},
    {Fill::equal, rows<zero>, kNormal, rows<equal_v>},
    {Fill::bigpos, rows<big_q>, rows<bigpos_k>, kNormal},
    {Fill::bigneg, rows<big_q>, rows<bigneg_k>, kNormal},
    {Fill::offset, kNormal, rows<offset_k>, kNormal},
    {Fill::ascend, rows<ascend_q>, rows<ramp_k>, kNormal},
    {Fill::descend, rows<descend_q>, rows<ramp_k>, kNormal},
    {Fill::outlier, kNormal, rows<outlier_k>, rows<outlier_v>},
    {Fill::heavy, rows<heavy_q>, kNormal, rows<heavy>},
    {Fill::cancel, rows<cancel_q>, kNormal, rows<cancel_v>},
    {Fill::twolevel, rows<twolevel_q>, rows<twolevel_k>, rows<twolevel_v>},
    {Fill::onehot, kNormal, kNormal, rows<onehot_v>},
    {Fill::needle, needle_q, needle_k, needle_v},
    {Fill::tailhot, kNormal, kNormal, rows<tailhot_v>},
    {Fill::denormal, rows<peaked_q>, kNormal, rows<denormal_v>},
};

}  // namespace

const Recipe& recipe(Fill fill) {
  for (const Recipe& candidate : kRecipes)
    if (candidate.fill == fill) return candidate;
  throw Error(concat("fill: must have a recipe in harness/fills.cpp, got ", name(fill)));
}

}  // namespace attest
