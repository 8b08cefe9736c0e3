#pragma once

#include <vector>

#include "cases/problem.h"

namespace attest {

/// Radians by which pair r turns from one position to the next: [Dr/2], Dr = rotary_width(); empty
/// without an embedding. f[r] = theta^(-2r/Dr), w[r] = 2 pi / f[r] positions a turn:
///
///   default   f                                        RoFormer, arXiv:2104.09864
///   linear    f / factor                               arXiv:2306.15595
///   llama3    f             where w < orig / high_freq_factor          Llama 3.1's model code
///             f / factor    where w > orig / low_freq_factor
///             a blend of both in between, linear in orig / w
///   yarn      f             up to pair `low`                           arXiv:2309.00071, and the
///             f / factor    from pair `high` on                        code published with it
///             a blend of both in between, linear in r
///
/// low and high are the pairs, as a real number, that turn beta_fast and beta_slow times within
/// orig, Dr ln(orig / (2 pi beta)) / (2 ln theta), with truncate rounded outwards.
std::vector<double> rope_frequencies(const Rope&, Index head_width);

/// Multiplies cos and sin. With yarn (1 + 0.1 mscale ln(factor)) / (1 + 0.1 mscale_all_dim
/// ln(factor)), else 1.
double rope_concentration(const Rope&);

/// cos and sin of the angles of each new token's position, times the concentration, from fp64
/// angles: an fp32 angle is off by up to 4e-3 at position 131071.
struct RopeTable {
  Index pairs = 0;              ///< Dr/2; 0: nothing turns
  std::vector<float> cos, sin;  ///< [B Sq, pairs]
};

/// Of a layer: the rotary part of a head is Dr wide in MLA, else D.
RopeTable rope_table(const Problem&);

}  // namespace attest
