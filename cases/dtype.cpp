#include "cases/dtype.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "cases/error.h"

namespace attest {
namespace {

struct DtypeRow {
  Dtype dtype;
  std::string_view name, torch_name;
  std::size_t size;
  FloatFormat format;
};

constexpr DtypeRow kDtypes[] = {
    {Dtype::fp64, "fp64", "float64", 8, {53, -1022, 1023}},
    {Dtype::fp32, "fp32", "float32", 4, {24, -126, 127}},
    {Dtype::fp16, "fp16", "float16", 2, {11, -14, 15}},
    {Dtype::bf16, "bf16", "bfloat16", 2, {8, -126, 127}},
    {Dtype::e4m3, "e4m3", "float8_e4m3fn", 1, {4, -6, 8}},
    {Dtype::e5m2, "e5m2", "float8_e5m2", 1, {3, -14, 15}},
    {Dtype::int32, "int32", "int32", 4, {0, 0, 0}},
    {Dtype::boolean, "bool", "bool", 1, {0, 0, 0}},
};

const DtypeRow& row(Dtype dtype) { return kDtypes[static_cast<std::size_t>(dtype)]; }

template <class T>
T load(const void* element) {
  T value;
  std::memcpy(&value, element, sizeof value);
  return value;
}

// IEEE binary16: sign, 5 exponent bits with bias 15, 10 fraction bits.
double decode_fp16(std::uint16_t bits) {
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31)
    return fraction ? std::numeric_limits<double>::quiet_NaN()
                    : sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// bfloat16 is the upper half of an IEEE binary32.
double decode_bf16(std::uint16_t bits) {
  const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
  return load<float>(&wide);
}

// Sign, 4 exponent bits with bias 7, 3 fraction bits.
double decode_e4m3(std::uint8_t bits) {
  const double sign = bits & 0x80 ? -1.0 : 1.0;
  const int exponent = bits >> 3 & 15, fraction = bits & 7;
  if (exponent == 15 && fraction == 7) return std::numeric_limits<double>::quiet_NaN();
  if (exponent == 0) return sign * std::ldexp(fraction, -9);
  return sign * std::ldexp(8 + fraction, exponent - 10);
}

/// The names of all types, as `column` has them.
std::string names(std::string_view DtypeRow::*column) {
  std::string all;
  for (const DtypeRow& row : kDtypes) all += concat(' ', row.*column);
  return all;
}

}  // namespace

std::string_view name(Dtype dtype) { return row(dtype).name; }
std::string_view torch_name(Dtype dtype) { return row(dtype).torch_name; }
std::size_t size_of(Dtype dtype) { return row(dtype).size; }

Dtype parse_dtype(std::string_view text) {
  for (const DtypeRow& candidate : kDtypes)
    if (candidate.name == text) return candidate.dtype;
  throw Error(concat("dtype: must be one of", names(&DtypeRow::name), ", got ", text));
}

Dtype parse_torch_dtype(std::string_view text) {
  for (const DtypeRow& candidate : kDtypes)
    if (candidate.torch_name == text) return candidate.dtype;
  throw Error(concat("dtype: must be one of", names(&DtypeRow::torch_name), ", got ", text));
}

bool is_float(Dtype dtype) { return row(dtype).format.precision > 0; }

FloatFormat format_of(Dtype dtype) {
  ATTEST_CHECK(is_float(dtype), "dtype: must be a floating-point type, got ", name(dtype));
  return row(dtype).format;
}

double unit_roundoff(Dtype dtype) { return std::ldexp(1.0, -format_of(dtype).precision); }

double min_subnormal(Dtype dtype) {
  const FloatFormat format = format_of(dtype);
  return std::ldexp(1.0, format.min_exponent - format.precision + 1);
}

double max_finite(Dtype dtype) {
  const FloatFormat format = format_of(dtype);
  if (dtype == Dtype::e4m3) return 448;  // the next number's pattern is NaN
  return std::ldexp(2.0 - std::ldexp(1.0, 1 - format.precision), format.max_exponent);
}

double decode(Dtype dtype, const void* element) {
  switch (dtype) {
    case Dtype::fp64:
      return load<double>(element);
    case Dtype::fp32:
      return load<float>(element);
    case Dtype::fp16:
      return decode_fp16(load<std::uint16_t>(element));
    case Dtype::bf16:
      return decode_bf16(load<std::uint16_t>(element));
    case Dtype::e4m3:
      return decode_e4m3(load<std::uint8_t>(element));
    case Dtype::e5m2:
      return decode_fp16(static_cast<std::uint16_t>(load<std::uint8_t>(element) << 8));
    case Dtype::int32:
      return load<std::int32_t>(element);
    case Dtype::boolean:
      return load<std::uint8_t>(element) != 0;
  }
  throw Error("dtype: unknown storage type");
}

void decode(Dtype dtype, const void* first, Index count, Index stride, double* out) {
  const auto* bytes = static_cast<const std::byte*>(first);
  const Index step = stride * static_cast<Index>(size_of(dtype));
  for (Index n = 0; n < count; ++n) out[n] = decode(dtype, bytes + n * step);
}

}  // namespace attest
