#include "reference/softmax.h"

#include <cmath>
#include <limits>

namespace attest::reference::ATTEST_ISA {
namespace {

using ArrayMap = Eigen::Map<Eigen::ArrayXd>;
using ConstArrayMap = Eigen::Map<const Eigen::ArrayXd>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Below the first, exp() is subnormal, where Eigen's stays at one value; below the second it is 0.
constexpr double kSubnormal = -708.0, kZero = -746.0;

}  // namespace

void exp_shifted(const double* x, double shift, Index count, double* p) {
  const ConstArrayMap s(x, count);
  ArrayMap(p, count) = (s - shift).exp();
  if (s.minCoeff() - shift >= kSubnormal) return;
  for (Index j = 0; j < count; ++j) {
    const double exponent = x[j] - shift;
    if (exponent < kSubnormal) p[j] = exponent < kZero ? 0.0 : std::exp(exponent);
  }
}

void softmax(const ConstMatrixRef& s, Rows& rows, MatrixRef p, double* lse) {
  for (Index i = 0; i < rows.count; ++i) {
    const double top = rows.keys > 0 ? s.row(i).maxCoeff() : -kInfinity;
    const double m = rows.m[i] = top > rows.sink ? top : rows.sink;
    if (m == -kInfinity) {
      p.row(i).setZero();
      rows.l[i] = 0;
      lse[i] = -kInfinity;
      continue;
    }
    double l = std::exp(rows.sink - m);
    if (rows.keys > 0) {
      exp_shifted(s.row(i).data(), m, rows.keys, p.row(i).data());
      l += p.row(i).sum();
    }
    rows.l[i] = l;
    p.row(i) /= l;
    lse[i] = m + std::log(l);
  }
}

}  // namespace attest::reference::ATTEST_ISA
