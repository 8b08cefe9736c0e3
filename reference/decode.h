#pragma once

#include <string_view>

#include "cases/tensor.h"

namespace attest::reference {

/// Values of positions 0 .. rows-1 of batch entry b of x [B, S, heads, width], head by head:
/// out [heads, rows, width], contiguous. Exact. Throws attest::Error that calls the tensor `name`
/// when one of them is an infinity or NaN.
void decode_heads(std::string_view name, const TensorView& x, Index b, Index rows, double* out);

/// Row n of a matrix [N, K] that lies `skip` elements behind w, whose strides and extents it has:
/// out [K]. Exact. False when one of the values is an infinity or NaN.
bool decode_row(const TensorView& w, Index skip, Index n, double* out);

}  // namespace attest::reference
