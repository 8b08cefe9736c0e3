#pragma once

#include <span>
#include <vector>

#include "cases/descriptor.h"
#include "cases/problem.h"
#include "cases/truth.h"

namespace attest {

/// How far rounding may move every output of a kernel. Absolute, in the unit of o (nats for lse).
struct Bounds {
  std::vector<double> hard_bound;  ///< [B,Sq,H,Dv] no declared rounding moves o further
  std::vector<double> stat_bound;  ///< [B,Sq,H,Dv] independent roundings do not (6 sigma)
  std::vector<double> sigma;       ///< [B,Sq,H,Dv] standard deviation of the error; 0: o is exact
  std::vector<double> lse_bound;   ///< [B,H,Sq] no declared rounding moves lse further
  std::vector<double> lse_stat;    ///< [B,H,Sq] independent roundings do not
};

/// Derives the bounds from the conditioning of the truth and the descriptor of a kernel; nothing is
/// tuned. harness/TOLERANCE.md has the derivation, whose item numbers the code cites.
///
/// Elements where nothing rounds (one visible key, or only zeros among the visible values) get
/// sigma 0 and, as both bounds, the distance of the true o to its nearest value of o_type. Rows
/// that see no key get zeros. Throws attest::Error unless the truth holds conditioning of the
/// problem's shapes.
Bounds derive_bounds(const Problem&, const Truth&, const Descriptor&);

/// What the conditioning says of one row; see cases/truth.h.
struct RowConditioning {
  Index visible;  ///< keys that the row sees, and its sink: at least 1
  double lse, row_max, row_sum, mean_a, mean_gap, max_a, max_gap, max_raises;
  std::span<const double> o, abs_mag, abs_mag_a, abs_mag_gap, second_moment, visible_abs_v;  // [Dv]
};

/// The tensors of a truth, checked once and then read row by row.
class Conditioning {
 public:
  /// Keeps spans: the truth must outlive it. Throws like derive_bounds().
  Conditioning(const Problem&, const Truth&);

  /// False where the row sees no key and has no sink: o = 0, lse = -inf.
  bool empty(Index b, Index i, Index h) const;

  /// Row (b, i, h), which must not be empty.
  RowConditioning row(Index b, Index i, Index h) const;

 private:
  Problem problem_;
  std::span<const double> o_, abs_mag_, abs_mag_a_, abs_mag_gap_, second_moment_, visible_abs_v_;
  std::span<const double> visible_, lse_, row_max_, row_sum_, mean_a_, mean_gap_, max_a_, max_gap_,
      max_raises_;
};

/// Bounds of one row; spans of [Dv] that the caller owns.
struct RowBounds {
  std::span<double> hard_bound, stat_bound, sigma;
  std::span<double> systematic;  ///< part of sigma that need not change its sign within a row
};

/// True where o must be the value of the top key, rounded to its type, if that key takes all (one
/// visible key, or all others too far below to count): rounding cannot move o off it.
bool stores_top_value(const Descriptor&, const RowConditioning&);
bool stores_top_value(const Descriptor&, double row_max);

/// Bounds of one row's lse.
struct LseBounds {
  double hard, stat;
};

/// Writes the bounds of one row's o and returns those of its lse.
LseBounds derive_row(const Problem&, const Descriptor&, const RowConditioning&, const RowBounds&);

}  // namespace attest
