#include "reference/scores.h"

#include <cmath>
#include <limits>

#include "reference/mask.h"

namespace attest::reference::ATTEST_ISA {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void cap(double softcap, MatrixRef s) {
  for (Index i = 0; i < s.rows(); ++i)
    for (Index j = 0; j < s.cols(); ++j) s(i, j) = softcap * std::tanh(s(i, j) / softcap);
}

void add_alibi(const Task& t, const Rows& rows, MatrixRef s) {
  const double slope = t.alibi_slopes[rows.h];
  for (Index i = 0; i < s.rows(); ++i) {
    const Index n = position(t.mask, t.Sq, t.lens[rows.b], rows.first + i);
    for (Index j = 0; j < s.cols(); ++j) s(i, j) -= slope * static_cast<double>(std::abs(n - j));
  }
}

/// Row i of x [1 or B, 1 or H, Sq, Sk]: its first `count` values.
Column pair_row(const TensorView& x, const Rows& rows, Index i, Index count) {
  Column values(count);
  if (count == 0) return values;
  const Index index[] = {x.shape[0] == 1 ? 0 : rows.b, x.shape[1] == 1 ? 0 : rows.h, rows.first + i,
                         0};
  decode(x.dtype, x.at(index), count, x.strides[3], values.data());
  return values;
}

void add_bias(const Task& t, const Rows& rows, MatrixRef s) {
  for (Index i = 0; i < s.rows(); ++i)
    s.row(i) += pair_row(*t.attn_bias, rows, i, s.cols()).transpose();
}

void hide(const Task& t, const Rows& rows, MatrixRef s) {
  for (Index i = 0; i < s.rows(); ++i) {
    const KeyRange seen = visible_keys(t.mask, t.window, t.Sq, t.lens[rows.b], rows.first + i);
    for (Index j = 0; j < s.cols(); ++j)
      if (j < seen.begin || j >= seen.end) s(i, j) = -kInfinity;
    if (t.attn_mask == nullptr) continue;
    const Column masked = pair_row(*t.attn_mask, rows, i, s.cols());
    for (Index j = 0; j < s.cols(); ++j)
      if (masked[j] != 0) s(i, j) = -kInfinity;
  }
}

}  // namespace

void shape_scores(const Task& t, const Rows& rows, MatrixRef s) {
  if (t.softcap > 0) cap(t.softcap, s);
  if (t.alibi_slopes != nullptr) add_alibi(t, rows, s);
  if (t.attn_bias != nullptr) add_bias(t, rows, s);
  hide(t, rows, s);
}

void mask_scores(const Task& t, const Rows& rows, MatrixRef s) {
  s.setZero();
  if (t.attn_bias != nullptr) add_bias(t, rows, s);
  hide(t, rows, s);
  for (Index i = 0; i < s.rows(); ++i)
    for (Index j = 0; j < s.cols(); ++j)
      if (s(i, j) != -kInfinity) s(i, j) = 0;
}

}  // namespace attest::reference::ATTEST_ISA
