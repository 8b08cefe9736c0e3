#include "reference/conditioning.h"

#include <bit>
#include <cstdint>
#include <limits>

#include "reference/mask.h"

namespace attest::reference::ATTEST_ISA {
namespace {

// The largest power of two that is not above x, for normal x > 0: the exponent bits alone.
// Zero and subnormal numbers give 0; their squares would underflow anyhow.
double power_of_two_below(double x) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & 0x7FF0'0000'0000'0000u);
}

// s -> P (m - s), p -> (2^floor(log2 p))^2 with p = exp(s - m) = P l, 0 where s = m.
void weigh_row(const Rows& rows, Index i, double* s, double* p) {
  const double m = rows.m[i], l = rows.l[i];
  for (Index j = 0; j < rows.seen[i]; ++j) {
    const double gap = m - s[j], binade = power_of_two_below(p[j] * l);
    s[j] = p[j] * gap;
    p[j] = gap > 0 ? binade * binade : 0.0;
  }
  for (Index j = rows.seen[i]; j < rows.keys; ++j) s[j] = p[j] = 0;
}

// Keys that are larger than all before them; the first one counts.
double count_raises(const double* s, Index seen) {
  double maximum = -std::numeric_limits<double>::infinity();
  Index raises = 0;
  for (Index j = 0; j < seen; ++j)
    if (s[j] > maximum) {
      maximum = s[j];
      ++raises;
    }
  return static_cast<double>(raises);
}

}  // namespace

void Conditioning::read(const Inputs& in) {
  if (!t_.with_conditioning) return;
  keys_ = keys_in_use(t_, in.batch());
  fewest_ = visible_keys(t_.mask, t_.Sq, t_.lens[in.batch()], 0);
  for (Matrix* matrix : {&abs_v_, &norm_v_, &square_v_}) matrix->resize(t_.G * keys_, t_.Dv);
  prefix_.resize(t_.G * (keys_ - fewest_ + 1), t_.Dv);
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

    MatrixRef prefix =
        prefix_.middleRows(g * (keys_ - fewest_ + 1), keys_ - fewest_ + 1);  // [n, Dv]
    prefix.row(0) = abs_v.topRows(fewest_).colwise().sum();
    for (Index n = 1; n < prefix.rows(); ++n)
      prefix.row(n) = prefix.row(n - 1) + abs_v.row(fewest_ + n - 1);
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
    if (rows.seen[i] > 0) second_moment.row(i) /= rows.l[i] * rows.l[i];
    visible_abs_v.row(i) = prefix_.row(g * (keys_ - fewest_ + 1) + rows.seen[i] - fewest_);
  }
}

void Conditioning::emit_row_values(Index g, const Rows& rows, const ConstMatrixRef& q,
                                   const ConstMatrixRef& s, const ConstMatrixRef& p) const {
  const ConditioningOutputs& to = t_.conditioning;
  const auto put = [&](double* result, Index i, double value) {
    row_values_of(result, t_, rows)[i] = value;
  };
  for (Index i = 0; i < rows.count; ++i) {
    const Index seen = rows.seen[i];
    const double m = rows.m[i], scaled_q = t_.scale * q.row(i).norm();
    put(to.row_max, i, m);
    put(to.row_sum, i, rows.l[i]);
    for (double* result : {to.mean_a, to.mean_gap, to.max_a, to.max_gap, to.max_raises})
      put(result, i, 0);
    if (seen == 0) continue;
    const Eigen::Ref<const Column> norm_k = norm_k_.segment(g * keys_, seen);
    const Eigen::Map<const Column> s_i(s.row(i).data(), seen), p_i(p.row(i).data(), seen);
    put(to.mean_a, i, scaled_q * p_i.dot(norm_k));
    put(to.mean_gap, i, (p_i.array() * (m - s_i.array())).sum());
    put(to.max_a, i, scaled_q * norm_k.maxCoeff());
    put(to.max_gap, i, m - s_i.minCoeff());
    put(to.max_raises, i, count_raises(s_i.data(), seen));
  }
}

}  // namespace attest::reference::ATTEST_ISA
