#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attest {

using Index = std::int64_t;

/// Storage types of tensors. Names in case strings: fp64 fp32 fp16 bf16 int32 bool.
enum class Dtype { fp64, fp32, fp16, bf16, int32, boolean };

std::string_view name(Dtype);

/// The name PyTorch and ml_dtypes use: float64 float32 float16 bfloat16 int32 bool.
std::string_view torch_name(Dtype);

/// Both throw attest::Error for an unknown name.
Dtype parse_dtype(std::string_view);
Dtype parse_torch_dtype(std::string_view);

bool is_float(Dtype);

/// Bytes of one element.
std::size_t size_of(Dtype);

/// A binary floating-point format: precision in bits (with the hidden one) and exponent range.
struct FloatFormat {
  int precision;     ///< p: unit roundoff is 2^-p (fp16 11, bf16 8, fp32 24, fp64 53)
  int min_exponent;  ///< of the smallest normal number 2^min_exponent
  int max_exponent;  ///< of the largest binade: numbers lie below 2^(max_exponent + 1)
};

/// Throws attest::Error for int32 and bool.
FloatFormat format_of(Dtype);

/// Unit roundoff u (half an epsilon) of a floating-point type.
double unit_roundoff(Dtype);

/// Smallest positive subnormal of a floating-point type.
double min_subnormal(Dtype);

/// Value of the element stored at `element` (little-endian, any alignment). Exact; NaN stays NaN.
double decode(Dtype, const void* element);

/// Values of `count` elements, `stride` elements apart.
void decode(Dtype, const void* first, Index count, Index stride, double* out);

}  // namespace attest
