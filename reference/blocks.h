#pragma once

// The types of one build. Every build has its own namespace and (by -DEigen=...) its own Eigen, so
// that the linker cannot merge functions compiled for different instruction sets.

#include <Eigen/Core>

#include "reference/task.h"

namespace attest::reference::ATTEST_ISA {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixRef = Eigen::Ref<Matrix>;             // some rows and columns of a Matrix
using ConstMatrixRef = Eigen::Ref<const Matrix>;  // the same, read only
using MatrixMap = Eigen::Map<Matrix, Eigen::Unaligned, Eigen::OuterStride<>>;
using Column = Eigen::VectorXd;

/// Eigen cuts long sums into pieces that fit the caches it finds. Fixed sizes give the same pieces
/// on every machine that runs this instruction set. To be called before the first product.
void fix_cache_sizes();

/// Query rows that are computed together, so that q k^T and p v are matrix products. More rows
/// share the packing of k and v; fewer keep the scores in the second-level cache.
constexpr Index kBlockRows = 64;

/// One block of query rows and what softmax finds in it.
struct Rows {
  Index b, h;            ///< batch entry and query head
  Index first, count;    ///< queries i = first .. first + count - 1
  Index keys;            ///< keys that any of them sees lie in 0 .. keys - 1
  double sink;           ///< score beside those of the keys; -inf: none
  double m[kBlockRows];  ///< largest score, -inf when there is none
  double l[kBlockRows];  ///< sum of exp(s - m), 0 when there is none
};

/// The block of head h that starts at query `first`; m and l are left open.
Rows rows_from(const Task&, Index b, Index h, Index first);

/// The keys that any query of batch entry b sees lie in 0 .. n-1.
Index keys_in_use(const Task&, Index b);

/// These rows in a result [B, Sq, H, Dv], as [count, Dv].
MatrixMap elements_of(double* result, const Task&, const Rows&);

/// These rows in a result [B, H, Sq], as `count` consecutive numbers.
double* row_values_of(double* result, const Task&, const Rows&);

/// Room for the scores of one block of rows in each thread, allocated before the threads start.
class Scratch {
 public:
  explicit Scratch(const Task&);

  MatrixRef s(const Rows&);  ///< [count, keys] of the calling thread
  MatrixRef p(const Rows&);  ///< [count, keys] of the calling thread

 private:
  Index rows_;
  Matrix s_, p_;  // [threads * rows_, keys of the longest batch entry and padding]
};

}  // namespace attest::reference::ATTEST_ISA
