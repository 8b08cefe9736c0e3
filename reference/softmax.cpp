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

void cap(double softcap, MatrixRef s) {
  if (softcap == 0) return;
  for (Index i = 0; i < s.rows(); ++i)
    for (Index j = 0; j < s.cols(); ++j) s(i, j) = softcap * std::tanh(s(i, j) / softcap);
}

void softmax(const ConstMatrixRef& s, Rows& rows, MatrixRef p, double* lse) {
  for (Index i = 0; i < rows.count; ++i) {
    const Index seen = rows.seen[i];
    p.row(i).tail(rows.keys - seen).setZero();
    if (seen == 0) {
      rows.m[i] = lse[i] = -kInfinity;
      rows.l[i] = 0;
      continue;
    }
    rows.m[i] = s.row(i).head(seen).maxCoeff();
    exp_shifted(s.row(i).data(), rows.m[i], seen, p.row(i).data());
    rows.l[i] = p.row(i).head(seen).sum();
    p.row(i).head(seen) /= rows.l[i];
    lse[i] = rows.m[i] + std::log(rows.l[i]);
  }
}

}  // namespace attest::reference::ATTEST_ISA
