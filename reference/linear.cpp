#include "reference/linear.h"

#include <omp.h>

#include "reference/blocks.h"
#include "reference/decode.h"
#include "reference/variants.h"

namespace attest::reference::ATTEST_ISA {
namespace {

// Rows of w that a thread decodes and multiplies together. Fixed, so that neither the number of
// threads nor who computes a block changes a bit.
constexpr Index kWeightRows = 32;

using Map = Eigen::Map<const Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;

// Whole cache lines: every row starts at the same place in a vector.
Index padded(Index width) { return (width + 7) / 8 * 8; }

// y [M, N] = x [M, K] w [N, K]^T + b [N]
void project(const ConstMatrixRef& x, const ConstMatrixRef& w, const double* b, MatrixMap y) {
  y.noalias() = x * w.transpose();
  for (Index n = 0; b && n < y.cols(); ++n) y.col(n).array() += b[n];
}

}  // namespace

bool linear(const Linear& t) {
  fix_cache_sizes();
  const Map x(t.x, t.rows, t.K, Eigen::OuterStride<>(t.x_stride));  // [M, K]
  const Matrix abs_x = t.magnitude ? Matrix(x.cwiseAbs()) : Matrix();
  const Column abs_b = t.b ? Column(Eigen::Map<const Column>(t.b, t.N).cwiseAbs()) : Column();
  Matrix scratch = Matrix::Zero(omp_get_max_threads() * kWeightRows, padded(t.K));
  bool finite = true;

#pragma omp parallel for schedule(dynamic) reduction(&& : finite)
  for (Index first = 0; first < t.N; first += kWeightRows) {
    const Index count = t.N - first < kWeightRows ? t.N - first : kWeightRows;
    const Eigen::OuterStride<> stride(t.y_stride);
    MatrixRef w = scratch.block(omp_get_thread_num() * kWeightRows, 0, count, t.K);  // [count, K]
    for (Index n = 0; n < count; ++n)
      finite = decode_row(*t.w, first + n, w.row(n).data()) && finite;
    project(x, w, t.b ? t.b + first : nullptr, MatrixMap(t.y + first, t.rows, count, stride));
    if (!t.magnitude) continue;
    w = w.cwiseAbs();
    project(abs_x, w, t.b ? abs_b.data() + first : nullptr,
            MatrixMap(t.magnitude + first, t.rows, count, stride));
  }
  return finite;
}

}  // namespace attest::reference::ATTEST_ISA
