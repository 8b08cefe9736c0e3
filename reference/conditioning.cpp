#include "reference/conditioning.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "reference/scores.h"

namespace attest::reference::ATTEST_ISA {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The largest power of two that is not above x, for normal x > 0: the exponent bits alone.
// Zero and subnormal numbers give 0; their squares would underflow anyhow.
double power_of_two_below(double x) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & 0x7FF0'0000'0000'0000u);
}

// s -> P (m - s), p -> (2^floor(log2 p))^2 with p = exp(s - m) = P l, 0 where s = m.
void weigh_row(const Rows& rows, Index i, double* s, double* p) {
  const double m = rows.m[i], l = rows.l[i];
  for (Index j = 0; j < rows.keys; ++j) {
    const double gap = m - s[j], binade = power_of_two_below(p[j] * l);
    s[j] = s[j] == -kInfinity ? 0.0 : p[j] * gap;
    p[j] = gap > 0 ? binade * binade : 0.0;
  }
}

// What one pass over a row finds, its keys in order and its sink last.
struct ScoreSummary {
  double seen = 0;                         ///< scores that are not -inf
  double raises = 0;                       ///< that are larger than all before them
  double lowest = kInfinity;               ///< of those seen
  double mean_gap = 0;                     ///< sum P (m - s)
  double mean_norm_k = 0, max_norm_k = 0;  ///< sum P |k| and max |k| of those seen

  void add(double m, double s, double p, double norm_k) {
    if (s == -kInfinity) return;
    if (s > highest_) raises += 1;
    highest_ = s > highest_ ? s : highest_;
    lowest = s < lowest ? s : lowest;
    seen += 1;
    mean_gap += p * (m - s);
    mean_norm_k += p * norm_k;
    max_norm_k = norm_k > max_norm_k ? norm_k : max_norm_k;
  }

 private:
  double highest_ = -kInfinity;
};

}  // namespace

void Conditioning::read(const Inputs& in) {
  if (!t_.with_conditioning) return;
  keys_ = keys_in_use(t_, in.batch());
  for (Matrix* matrix : {&abs_v_, &norm_v_, &square_v_}) matrix->resize(t_.G * keys_, t_.Dv);
  norm_k_.resize(t_.G * keys_);
#pragma omp parallel for schedule(static)
  for (Index g = 0; g < t_.G; ++g) {
    const ConstMatrixRef k = in.k(g, keys_), v = in.v(g, keys_);  // [keys, D] [keys, Dv]
    MatrixRef abs_v = abs_v_.middleRows(g * keys_, keys_);        // [keys, Dv]
    norm_k_.segment(g * keys_, keys_) = k.rowwise().norm();
    abs_v = v.cwiseAbs();
    norm_v_.middleRows(g * keys_, keys_) =
        abs_v.array().colwise() * norm_k_.segment(g * keys_, keys_).array();
    square_v_.middleRows(g * keys_, keys_) = v.cwiseAbs2();
  }
}

void Conditioning::emit(Index g, const Rows& rows, const ConstMatrixRef& q, MatrixRef s,
                        MatrixRef p) const {
  if (!t_.with_conditioning) return;
  const ConditioningOutputs& to = t_.conditioning;
  const ConstMatrixRef abs_v = abs_v_.middleRows(g * keys_, rows.keys);
  const ConstMatrixRef norm_v = norm_v_.middleRows(g * keys_, rows.keys);
  const ConstMatrixRef square_v = square_v_.middleRows(g * keys_, rows.keys);
  MatrixMap abs_mag_a = elements_of(to.abs_mag_a, t_, rows);
  MatrixMap second_moment = elements_of(to.second_moment, t_, rows);
  MatrixMap visible_abs_v = elements_of(to.visible_abs_v, t_, rows);

  emit_row_values(g, rows, q, s, p);
  elements_of(to.abs_mag, t_, rows).noalias() = p * abs_v;
  abs_mag_a.noalias() = p * norm_v;
  for (Index i = 0; i < rows.count; ++i) weigh_row(rows, i, s.row(i).data(), p.row(i).data());
  elements_of(to.abs_mag_gap, t_, rows).noalias() = s * abs_v;
  second_moment.noalias() = p * square_v;
  for (Index i = 0; i < rows.count; ++i) {
    abs_mag_a.row(i) *= t_.scale * q.row(i).norm();
    if (rows.l[i] > 0) second_moment.row(i) /= rows.l[i] * rows.l[i];
  }
  mask_scores(t_, rows, s);
  p = (s.array() == 0).cast<double>();  // 1 where a key is seen
  visible_abs_v.noalias() = p * abs_v;
}

void Conditioning::emit_row_values(Index g, const Rows& rows, const ConstMatrixRef& q,
                                   const ConstMatrixRef& s, const ConstMatrixRef& p) const {
  const ConditioningOutputs& to = t_.conditioning;
  const auto put = [&](double* result, Index i, double value) {
    row_values_of(result, t_, rows)[i] = value;
  };
  for (Index i = 0; i < rows.count; ++i) {
    const double m = rows.m[i], l = rows.l[i], scaled_q = t_.scale * q.row(i).norm();
    ScoreSummary of;
    for (Index j = 0; j < rows.keys; ++j) of.add(m, s(i, j), p(i, j), norm_k_[g * keys_ + j]);
    of.add(m, rows.sink, l > 0 ? std::exp(rows.sink - m) / l : 0, 0);
    put(to.visible, i, of.seen);
    put(to.row_max, i, m);
    put(to.row_sum, i, l);
    put(to.mean_a, i, scaled_q * of.mean_norm_k);
    put(to.mean_gap, i, of.mean_gap);
    put(to.max_a, i, scaled_q * of.max_norm_k);
    put(to.max_gap, i, of.seen > 0 ? m - of.lowest : 0);
    put(to.max_raises, i, of.raises);
  }
}

}  // namespace attest::reference::ATTEST_ISA
