#pragma once

#include <span>

#include "cases/dtype.h"

namespace attest {

/// Stores `value` at `element` (little-endian, any alignment), rounded once, from double to nearest
/// with ties to even. Beyond the largest finite number by half an ulp or more: infinity. Subnormals
/// and the sign of zero are kept; NaN becomes the quiet NaN of its sign.
///
/// e4m3 has no infinity: all beyond 448, infinities too, becomes 448 of the same sign, as in PTX
/// (cvt.rn.satfinite, the only form there is) and CUDA's __NV_SATFINITE. PyTorch makes such numbers
/// NaN; who quantizes with it clamps first, with the same result.
///
/// Throws attest::Error for int32.
void encode(Dtype, double value, void* element);

/// The same for consecutive elements.
void encode(Dtype, std::span<const double> values, void* first);

/// `value` rounded to a floating-point type, as a double.
double round_to(Dtype, double value);

}  // namespace attest
