#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cases/descriptor.h"
#include "cases/problem.h"
#include "cases/truth.h"
#include "harness/metrics.h"
#include "harness/tolerance.h"

namespace attest {

/// One row of outputs beside its truth and bounds. Spans are [Dv] and live until the next read().
struct ComparedRow {
  Index b, i, h;
  bool empty;                         ///< sees no key: judged exactly, the spans below are empty
  std::span<const double> want, got;  ///< `got` as stored, may hold infinities and NaN
  std::span<const double> error;      ///< got - want; 0 where either is not finite
  std::span<const double> hard_bound, stat_bound, sigma, systematic;
  std::span<const double> abs_mag;
  double row_sum;                        ///< sum_j exp(s_j - m)
  std::span<const std::uint8_t> state;   ///< of each element: ElementState
  Index wrong_class = 0, not_exact = 0;  ///< how many elements of o have that state
  double lse_want, lse_got, lse_error;
  LseBounds lse_bounds;
  std::uint8_t lse_state;
};

/// What is wrong with an element before any bound is asked.
enum ElementState : std::uint8_t { kComparable, kWrongClass, kNotExact };

/// Reads rows of a kernel's outputs. One object a thread.
class RowReader {
 public:
  /// Keeps references: all four must outlive it. `exact`: one key takes all in every row, so that
  /// o must equal the truth rounded to its type wherever stores_top_value(); zeros of either sign
  /// are equal.
  RowReader(const Problem&, const Truth&, const Descriptor&, const TensorSet& outputs, bool exact);

  /// Row n of the [B,Sq,H] rows of o, in that order.
  const ComparedRow& read(Index n);

 private:
  void classify(std::span<const double> want, bool exact);
  void read_lse();

  const Problem& problem_;
  const Descriptor& descriptor_;
  const Tensor &got_o_, &got_lse_;
  std::span<const double> want_o_, want_lse_;
  Conditioning conditioning_;
  bool exact_;
  std::vector<double> got_, error_, hard_, stat_, sigma_, systematic_, magnitude_;
  std::vector<std::uint8_t> state_;
  ComparedRow row_;
};

/// An element of o (d >= 0) or lse (d = -1) in row n, and how its error compares with its bound.
struct Offender {
  double ratio;
  Index row, d;
};

/// The largest ratios seen, largest first; equal ones in order of row and d.
class WorstList {
 public:
  static constexpr std::size_t kLength = 8;
  void add(Offender);
  /// Only larger ratios change the list.
  double threshold() const { return list_.size() < kLength ? 0 : list_.back().ratio; }
  const std::vector<Offender>& list() const { return list_; }

 private:
  std::vector<Offender> list_;
};

/// Everything one pass over the outputs shows.
struct Comparison {
  Metrics metrics;
  WorstList worst;             ///< by error / hard bound, o and lse together
  Index rows = 0;              ///< rows that see a key
  Index statistical_rows = 0;  ///< of these, rows with an element that rounds
  Index bias_rows = 0;         ///< of these, rows that the bias is taken of
  Index worst_rho_row = -1;    ///< row that rho_row belongs to
  Sums sums;
};

/// Compares every element once. The result has the same bits for any number of threads.
Comparison compare(const Problem&, const Truth&, const Descriptor&, const TensorSet& outputs,
                   bool exact);

}  // namespace attest
