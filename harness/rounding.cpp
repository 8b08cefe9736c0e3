#include "harness/rounding.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "cases/error.h"

namespace attest {
namespace {

constexpr FloatFormat kDouble{53, -1022, 1023};
constexpr double kQuietNan = std::numeric_limits<double>::quiet_NaN();

/// Bits of a narrower IEEE-like format without its sign: exponent above fraction, so that a carry
/// out of the fraction moves to the next binade by itself, and from the last one to infinity, whose
/// pattern stands for all larger numbers too.
std::uint64_t round_magnitude(FloatFormat format, std::uint64_t magnitude) {
  const int fraction_bits = format.precision - 1;
  const std::uint64_t infinity =
      static_cast<std::uint64_t>(format.max_exponent - format.min_exponent + 2) << fraction_bits;
  const std::uint64_t double_infinity = std::uint64_t{0x7FF} << 52;
  if (magnitude > double_infinity) return infinity | std::uint64_t{1} << (fraction_bits - 1);

  const int exponent = static_cast<int>(magnitude >> 52) + kDouble.min_exponent - 1;
  if (exponent < format.min_exponent - format.precision) return 0;  // below half a subnormal
  if (exponent > format.max_exponent) return infinity;

  const std::uint64_t significand = (magnitude & ((std::uint64_t{1} << 52) - 1)) | std::uint64_t{1}
                                                                                       << 52;
  const int below_normal = exponent < format.min_exponent ? format.min_exponent - exponent : 0;
  const int dropped = kDouble.precision - format.precision + below_normal;  // in [29, 53]
  const std::uint64_t kept = significand >> dropped;
  const std::uint64_t rest = significand & ((std::uint64_t{1} << dropped) - 1);
  const std::uint64_t half = std::uint64_t{1} << (dropped - 1);
  const bool up = rest > half || (rest == half && (kept & 1));

  // A normal number's hidden bit is part of `kept` and counts as the first exponent step.
  const int binade = exponent - format.min_exponent + below_normal;
  return (static_cast<std::uint64_t>(binade) << fraction_bits) + kept + up;
}

/// The same for e4m3, whose last pattern is NaN and has no infinity below it.
std::uint64_t round_e4m3(std::uint64_t magnitude) {
  constexpr std::uint64_t kLargest = 0x7E, kNan = 0x7F;
  if (std::isnan(std::bit_cast<double>(magnitude))) return kNan;
  return std::min(round_magnitude(format_of(Dtype::e4m3), magnitude), kLargest);
}

template <class Bits>
void encode_all(Dtype dtype, std::span<const double> values, std::byte* out) {
  const FloatFormat format = format_of(dtype);
  for (const double value : values) {
    const auto wide = std::bit_cast<std::uint64_t>(value);
    const std::uint64_t sign = wide >> 63 << (8 * sizeof(Bits) - 1);
    const std::uint64_t magnitude = wide << 1 >> 1;
    const auto bits = static_cast<Bits>(
        sign | (dtype == Dtype::e4m3 ? round_e4m3(magnitude) : round_magnitude(format, magnitude)));
    std::memcpy(out, &bits, sizeof bits);
    out += sizeof bits;
  }
}

void copy_all(std::span<const double> values, std::byte* out) {
  for (const double value : values) {
    const double quiet = std::isnan(value) ? std::copysign(kQuietNan, value) : value;
    std::memcpy(out, &quiet, sizeof quiet);
    out += sizeof quiet;
  }
}

}  // namespace

void encode(Dtype dtype, std::span<const double> values, void* first) {
  auto* out = static_cast<std::byte*>(first);
  switch (dtype) {
    case Dtype::fp64:
      return copy_all(values, out);
    case Dtype::fp32:
      return encode_all<std::uint32_t>(dtype, values, out);
    case Dtype::fp16:
    case Dtype::bf16:
      return encode_all<std::uint16_t>(dtype, values, out);
    case Dtype::e4m3:
    case Dtype::e5m2:
      return encode_all<std::uint8_t>(dtype, values, out);
    case Dtype::int32:
    case Dtype::boolean:
      break;
  }
  throw Error(concat("encode: must round to a floating-point type, got ", name(dtype)));
}

void encode(Dtype dtype, double value, void* element) { encode(dtype, {&value, 1}, element); }

double round_to(Dtype dtype, double value) {
  std::array<std::byte, sizeof(double)> element{};
  encode(dtype, value, element.data());
  return decode(dtype, element.data());
}

}  // namespace attest
