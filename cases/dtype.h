#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attest {

using Index = std::int64_t;

/// Storage types of tensors. Names in case strings: fp64 fp32 fp16 bf16 e4m3 e5m2 int32 bool.
///
/// The 8-bit ones are those of the OCP specification (OFP8, revision 1.0; arXiv:2209.05433):
///   e4m3  bias 7, no infinities, NaN only as S.1111.111, so that the top binade ends at 448
///   e5m2  bias 15, as IEEE 754: the upper half of an fp16, up to 57344
enum class Dtype { fp64, fp32, fp16, bf16, e4m3, e5m2, int32, boolean };

std::string_view name(Dtype);

/// The name PyTorch and ml_dtypes use: float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2
/// int32 bool.
std::string_view torch_name(Dtype);

/// Both throw attest::Error for an unknown name.
Dtype parse_dtype(std::string_view);
Dtype parse_torch_dtype(std::string_view);

bool is_float(Dtype);

/// Bytes of one element.
std::size_t size_of(Dtype);

/// A binary floating-point format: precision in bits (with the hidden one) and exponent range.
struct FloatFormat {
  int precision;     ///< p: unit roundoff is 2^-p (e5m2 3, e4m3 4, bf16 8, fp16 11 ..)
  int min_exponent;  ///< of the smallest normal number 2^min_exponent
  int max_exponent;  ///< of the largest binade: numbers lie below 2^(max_exponent + 1)
};

/// Throws attest::Error for int32 and bool.
FloatFormat format_of(Dtype);

/// Unit roundoff u (half an epsilon) of a floating-point type.
double unit_roundoff(Dtype);

/// Smallest positive subnormal of a floating-point type.
double min_subnormal(Dtype);

/// Largest finite number of a floating-point type.
double max_finite(Dtype);

/// Value of the element stored at `element` (little-endian, any alignment). Exact; NaN stays NaN.
double decode(Dtype, const void* element);

/// Values of `count` elements, `stride` elements apart.
void decode(Dtype, const void* first, Index count, Index stride, double* out);

}  // namespace attest
