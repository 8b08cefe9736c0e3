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
  const Eigen::OuterStride<> x_stride(t.x_stride), y_stride(t.y_stride);
  const Map x(t.x, t.rows, (t.heads - 1) * t.x_head + t.K, x_stride);  // of all heads
  const Matrix abs_x = t.magnitude ? Matrix(x.cwiseAbs()) : Matrix();
  const Column abs_b = t.b ? Column(Eigen::Map<const Column>(t.b, t.N).cwiseAbs()) : Column();
  Matrix scratch = Matrix::Zero(omp_get_max_threads() * kWeightRows, padded(t.K));
  const Index blocks = (t.N + kWeightRows - 1) / kWeightRows;
  bool finite = true;

#pragma omp parallel for schedule(dynamic) reduction(&& : finite)
  for (Index block = 0; block < t.heads * blocks; ++block) {
    const Index h = block / blocks, first = block % blocks * kWeightRows;
    const Index count = t.N - first < kWeightRows ? t.N - first : kWeightRows;
    const Index at = h * t.y_head + first;  // in a row of y
    MatrixRef w = scratch.block(omp_get_thread_num() * kWeightRows, 0, count, t.K);  // [count, K]
    for (Index n = 0; n < count; ++n)
      finite = decode_row(*t.w, h * t.w_head, first + n, w.row(n).data()) && finite;
    project(x.middleCols(h * t.x_head, t.K), w, t.b ? t.b + first : nullptr,
            MatrixMap(t.y + at, t.rows, count, y_stride));
    if (!t.magnitude) continue;
    w = w.cwiseAbs();
    project(abs_x.middleCols(h * t.x_head, t.K), w, t.b ? abs_b.data() + first : nullptr,
            MatrixMap(t.magnitude + at, t.rows, count, y_stride));
  }
  return finite;
}

}  // namespace attest::reference::ATTEST_ISA
