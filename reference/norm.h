#pragma once

#include "cases/layer.h"

namespace attest::reference {

/// A norm of rows, with weights that all rows share.
struct NormTask {
  Norm kind;  // not none
  double eps;
  const double* w;  // [width]; null for l2
  const double* b;  // [width]; of kind layer
  Index rows, width;
};

/// Replaces x [rows, width] by its norm (Zhang & Sennrich 2019, arXiv:1910.07467; layer: Ba et al.
/// 2016, arXiv:1607.06450), row by row, and finds the magnitude of its rounding errors.
///
///   kind                y                       magnitude                        r
///   rms                 x r w                   |y|                              root
///   rms_zero_centered   x r (1 + w)             |x r| (1 + |w|)                  root
///   l2                  x r                     |y|                              root
///   layer               (x - mean x) r w + b    r |w| (|x| + mean |x|) + |b|     centred
///
///   root = 1 / sqrt(mean x^2 + eps)      centred = 1 / sqrt(mean (x - mean x)^2 + eps)
///
/// magnitude [rows, width], or null. Means are over a row; sums run in the order of its values.
void normalize(const NormTask&, double* x, double* magnitude);

}  // namespace attest::reference
