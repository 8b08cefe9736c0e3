#pragma once

#include <span>
#include <vector>

#include "cases/rope.h"

// Rotary position embeddings in fp64: the formulas stand here, rope.cpp follows them line by line.
//
// D is the width of a head, of which Dr = rotary_width(rope, D) values turn in Dr/2 pairs r. All
// functions take embeddings that check(rope, D) accepts.
namespace attest::reference {

/// Pairs that YaRN blends: those up to `low` stay, those from `high` on are divided by the factor.
struct CorrectionRange {
  double low, high;
};

/// Pairs that turn beta_fast and beta_slow times within the original context (YaRN,
/// arXiv:2309.00071, section 3.2). The ramp between them is linear in the pair, as in the code that
/// was published with the paper and in every model since; the paper's text has it linear in turns.
///
///   pair(turns) = Dr ln(orig / (2 pi turns)) / (2 ln theta)
///   low, high   = pair(beta_fast), pair(beta_slow)       with truncate: floor(low), ceil(high)
///                 clamped to low >= 0, high <= Dr - 1    then, if equal, high + 0.001
CorrectionRange yarn_correction_range(const Rope&, Index D);

/// How far pair r is on the way from kept to divided: clamp((r - low) / (high - low), 0, 1).
double yarn_ramp(const CorrectionRange&, Index r);

/// Radians a position by which each pair turns: [Dr/2], empty for no embedding.
///
///   default   f[r] = theta^(-2r/Dr)           RoFormer, arXiv:2104.09864, section 3.2.2
///   linear    f[r] / factor                   arXiv:2306.15595
///   llama3    kept, blended or divided by the factor, as in the model code of Llama 3.1, see below
///   yarn      f[r] / factor * ramp[r] + f[r] (1 - ramp[r])
///
/// llama3, with turns[r] = orig f[r] / (2 pi), the turns of the pair within the original context:
///
///   turns > high_freq_factor    f[r]
///   turns < low_freq_factor     f[r] / factor
///   else                        (1 - s) f[r] / factor + s f[r],
///                   s = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor)
std::vector<double> inverse_frequencies(const Rope&, Index D);

/// 1 + 0.1 m ln(factor), by which YaRN makes q and k longer (section 3.4; m = 1 in the paper).
double yarn_mscale(double factor, double m);

/// Multiplies cos and sin, hence q and k both: yarn_mscale(factor, mscale) over
/// yarn_mscale(factor, mscale_all_dim); 1 unless YaRN.
double concentration(const Rope&);

/// Multiplies the softmax scale 1 / sqrt(Dn + Dr) of MLA, and of nothing else:
/// yarn_mscale(factor, mscale_all_dim)^2; 1 unless YaRN. The logits of the rotary part so grow by
/// yarn_mscale(factor, mscale)^2 in all.
double mla_scale_factor(const Rope&);

/// What rotation multiplies by: cos and sin of position * inverse frequency, times concentration.
struct RopeTable {
  RopePairing pairing;
  Index rows, Dr;
  std::vector<double> cos, sin;  ///< [rows, Dr/2]
};

/// The table of rows at these positions; a negative position turns backwards.
///
/// Angles are fp64 products of fp64 numbers: at position 131071 off by less than 3e-11 radians,
/// where fp32 products are off by 4e-3. cos and sin are those of the C library, within 1 ulp; their
/// last bit may depend on the processor (glibc has versions with and without FMA).
RopeTable rope_table(const Rope&, Index D, std::span<const Index> positions);

/// Turns the first Dr values of each row in place; the other D - Dr are not touched.
///
///   (a, b) -> (a cos - b sin, b cos + a sin)
///
///   half           a = x[r],  b = x[r + Dr/2]    written where they stood
///   interleaved    a = x[2r], b = x[2r + 1]      written where they stood
///   deinterleave   a = x[2r], b = x[2r + 1]      written to x[r], x[r + Dr/2]
///
/// x [heads, table.rows, D], row n of each head at position n of the table. To turn the last values
/// of rows [Dn + Dr], pass x + Dn. Same bits for any number of threads.
void rotate(const RopeTable& table, Index heads, Index D, double* x);

}  // namespace attest::reference
