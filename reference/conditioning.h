#pragma once

#include "reference/inputs.h"

namespace attest::reference::ATTEST_ISA {

/// How rounding errors of a kernel grow on their way to o and lse, for every element and row: the
/// quantities of cases/truth.h. Holds what they need of the keys of one batch entry. Does nothing,
/// and holds nothing, when the task does not ask for conditioning.
///
///   a[i,j] = scale |q_i| |k_j| bounds each score and the rounding error of its sum over d
///
///   abs_mag        sum_j P |v|           roundings of p, of p v and of the output
///   abs_mag_a      sum_j P a |v|         errors of the scores, which the exponential passes on
///   abs_mag_gap    sum_j P (m - s) |v|   relative errors of the exponent s - m
///   second_moment  sum_j (2^floor(log2 p) v / l)^2    variance of rounding p: one ulp follows the
///                                        binade of p, and p = 1 is stored exactly
///   visible_abs_v  sum_j |v|             p that falls below the smallest number of its type
///   mean_a, mean_gap, max_a, max_gap     the same for the row sum l, and so for lse
///   max_raises                           how often a running maximum rescales o and l
///   visible                              scores in the softmax, the sink's included
class Conditioning {
 public:
  explicit Conditioning(const Task& t) : t_(t) {}

  /// Takes the keys and values that `in` has just read.
  void read(const Inputs& in);

  /// Emits all quantities of one block of rows. g: its key/value head; q [count, D]; s, p
  /// [count, keys]: scores and softmax, used up as scratch.
  void emit(Index g, const Rows& rows, const ConstMatrixRef& q, MatrixRef s, MatrixRef p) const;

 private:
  void emit_row_values(Index g, const Rows&, const ConstMatrixRef& q, const ConstMatrixRef& s,
                       const ConstMatrixRef& p) const;

  const Task& t_;
  Index keys_ = 0;                    // that any query of the entry sees
  Matrix abs_v_, norm_v_, square_v_;  // |v|, |k| |v|, v^2: [G * keys_, Dv]
  Column norm_k_;                     // |k|: [G * keys_]
};

}  // namespace attest::reference::ATTEST_ISA
