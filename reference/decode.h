#pragma once

#include <string_view>

#include "cases/tensor.h"

namespace attest::reference {

/// Values of positions 0 .. rows-1 of batch entry b of x [B, S, heads, width], head by head:
/// out [heads, rows, width], contiguous. Exact. Throws attest::Error that calls the tensor `name`
/// when one of them is an infinity or NaN.
void decode_heads(std::string_view name, const TensorView& x, Index b, Index rows, double* out);

}  // namespace attest::reference
