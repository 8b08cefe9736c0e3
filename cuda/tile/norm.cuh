#pragma once

// Normalization of a row by one warp, in fp32. Lanes add every 32nd value, in order, then each
// other's sums (RMSNorm: Zhang and Sennrich 2019, arXiv:1910.07467; LayerNorm: Ba et al. 2016).
//
//   rms                 x / sqrt(mean(x^2) + eps) w
//   rms_zero_centered   x / sqrt(mean(x^2) + eps) (1 + w)
//   l2                  x / sqrt(mean(x^2) + eps)
//   layer               (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) w + b

#include "cases/layer.h"
#include "cuda/simt/simt.cuh"
#include "cuda/tile/warp.cuh"

namespace attest::ATTEST_BACKEND {
namespace {

/// The values of a row, of which the first `width` are normalized and others are as they were.
template <class T>
struct NormedRow {
  const T* x_g;
  const T* w_g;  ///< [width]; null: no weight
  const T* b_g;  ///< [width]; null: no bias
  int width;
  bool zero_centered;
  float mean, inverse;  ///< inverse: 1 / sqrt(..)

  __device__ float value(int d) const {
    const float x = simt::to_float(x_g[d]);
    if (d >= width) return x;
    float y = (x - mean) * inverse;
    if (w_g != nullptr) y *= simt::to_float(w_g[d]) + (zero_centered ? 1.0f : 0.0f);
    return b_g == nullptr ? y : y + simt::to_float(b_g[d]);
  }
};

/// By all lanes of a warp.
template <class T>
__device__ inline NormedRow<T> normalize(const T* x_g, int width, Norm norm, const T* w_g,
                                         const T* b_g, float eps) {
  NormedRow<T> row{x_g, w_g, b_g, width, norm == Norm::rms_zero_centered, 0.0f, 1.0f};
  if (norm == Norm::none) {
    row.width = 0;
    return row;
  }
  const float count = static_cast<float>(width);
  if (norm == Norm::layer) {
    float sum = 0.0f;
    for (int d = lane_id(); d < width; d += 32) sum += simt::to_float(x_g[d]);
    row.mean = warp_sum(sum) / count;
  }
  float squares = 0.0f;
  for (int d = lane_id(); d < width; d += 32) {
    const float x = simt::to_float(x_g[d]) - row.mean;
    squares += x * x;
  }
  row.inverse = 1.0f / sqrtf(warp_sum(squares) / count + eps);
  return row;
}

}  // namespace
}  // namespace attest::ATTEST_BACKEND
