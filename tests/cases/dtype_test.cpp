#include "cases/dtype.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

/// IEEE 754-2019, 3.4, for `exponent_bits` and `fraction_bits` beside the sign: the value from its
/// fields, by powers of two.
double value_of_fields(unsigned bits, int exponent_bits, int fraction_bits) {
  const double sign = bits >> (exponent_bits + fraction_bits) ? -1 : 1;
  const int top = (1 << exponent_bits) - 1, bias = top / 2;
  const int exponent = static_cast<int>(bits >> fraction_bits) & top;
  const double fraction = std::fmod(bits, std::exp2(fraction_bits)) / std::exp2(fraction_bits);
  if (exponent == top) return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * fraction * std::exp2(1 - bias);
  return sign * (1 + fraction) * std::exp2(exponent - bias);
}

double decode16(Dtype dtype, unsigned bits) {
  const auto stored = static_cast<std::uint16_t>(bits);
  return decode(dtype, &stored);
}

double decode8(Dtype dtype, unsigned bits) {
  const auto stored = static_cast<std::uint8_t>(bits);
  return decode(dtype, &stored);
}

bool same(double got, double want) {
  return std::isnan(want) ? std::isnan(got)
                          : got == want && std::signbit(got) == std::signbit(want);
}

int mismatches(Dtype dtype, int exponent_bits, int fraction_bits) {
  int count = 0;
  for (unsigned bits = 0; bits < 1 << 16; ++bits) {
    const double got = decode16(dtype, bits),
                 want = value_of_fields(bits, exponent_bits, fraction_bits);
    count += !same(got, want);
  }
  return count;
}

}  // namespace

TEST_CASE("all 65536 patterns of fp16 and of bf16 have the value of their fields") {
  CHECK(mismatches(Dtype::fp16, 5, 10) == 0);
  CHECK(mismatches(Dtype::bf16, 8, 7) == 0);
}

TEST_CASE("all 256 patterns of e5m2 have the value of their fields") {
  for (unsigned bits = 0; bits < 256; ++bits) {
    CAPTURE(bits);
    CHECK(same(decode8(Dtype::e5m2, bits), value_of_fields(bits, 5, 2)));
  }
}

TEST_CASE("all 256 patterns of e4m3 have the value of their fields, NaN but one a sign") {
  for (unsigned bits = 0; bits < 256; ++bits) {
    // Five exponent bits would count on where four end; bias 7 is 8 below that of five bits.
    const double field = value_of_fields((bits & 0x80u) << 1 | (bits & 0x7fu), 5, 3) * 0x1p8;
    CAPTURE(bits);
    CHECK(same(decode8(Dtype::e4m3, bits), (bits & 0x7fu) == 0x7fu ? std::nan("") : field));
  }
}

TEST_CASE("landmarks of the 8-bit formats") {
  CHECK(decode8(Dtype::e4m3, 0x38) == 1.0);
  CHECK(decode8(Dtype::e4m3, 0x7E) == 448.0);
  CHECK(decode8(Dtype::e4m3, 0x78) == 256.0);
  CHECK(decode8(Dtype::e4m3, 0x08) == 0x1p-6);
  CHECK(decode8(Dtype::e4m3, 0x81) == -0x1p-9);
  CHECK(std::isnan(decode8(Dtype::e4m3, 0xFF)));
  CHECK(decode8(Dtype::e5m2, 0x3C) == 1.0);
  CHECK(decode8(Dtype::e5m2, 0x7B) == 57344.0);
  CHECK(decode8(Dtype::e5m2, 0xFC) == -HUGE_VAL);
  CHECK(decode8(Dtype::e5m2, 0x04) == 0x1p-14);
  CHECK(decode8(Dtype::e5m2, 0x01) == 0x1p-16);
  CHECK(std::isnan(decode8(Dtype::e5m2, 0x7D)));
}

TEST_CASE("landmarks of the 16-bit formats") {
  CHECK(decode16(Dtype::fp16, 0x3C00) == 1.0);
  CHECK(decode16(Dtype::fp16, 0x7BFF) == 65504.0);
  CHECK(decode16(Dtype::fp16, 0x3555) == 0.333251953125);
  CHECK(decode16(Dtype::fp16, 0x8001) == -0x1p-24);
  CHECK(decode16(Dtype::bf16, 0x3F80) == 1.0);
  CHECK(decode16(Dtype::bf16, 0x7F7F) == 0x1.FEp127);
  CHECK(decode16(Dtype::bf16, 0xC049) == -3.140625);
  CHECK(decode16(Dtype::bf16, 0x0001) == 0x1p-133);
}

TEST_CASE("unit roundoff and smallest subnormal follow from the format") {
  CHECK(unit_roundoff(Dtype::fp16) == 0x1p-11);
  CHECK(unit_roundoff(Dtype::bf16) == 0x1p-8);
  CHECK(unit_roundoff(Dtype::e4m3) == 0x1p-4);
  CHECK(unit_roundoff(Dtype::e5m2) == 0x1p-3);
  CHECK(unit_roundoff(Dtype::fp32) == 0x1p-24);
  CHECK(unit_roundoff(Dtype::fp64) == 0x1p-53);
  CHECK(min_subnormal(Dtype::fp16) == decode16(Dtype::fp16, 1));
  CHECK(min_subnormal(Dtype::bf16) == decode16(Dtype::bf16, 1));
  CHECK(min_subnormal(Dtype::e4m3) == decode8(Dtype::e4m3, 1));
  CHECK(min_subnormal(Dtype::e5m2) == decode8(Dtype::e5m2, 1));
  CHECK(min_subnormal(Dtype::fp32) == 0x1p-149);
  CHECK(min_subnormal(Dtype::fp64) == 0x1p-1074);
  CHECK(max_finite(Dtype::e4m3) == decode8(Dtype::e4m3, 0x7E));
  CHECK(max_finite(Dtype::e5m2) == decode8(Dtype::e5m2, 0x7B));
  CHECK(max_finite(Dtype::fp16) == decode16(Dtype::fp16, 0x7BFF));
  CHECK(max_finite(Dtype::bf16) == decode16(Dtype::bf16, 0x7F7F));
  CHECK_THROWS_WITH(format_of(Dtype::int32), Catch::Contains("floating-point type, got int32"));
}

TEST_CASE("wider types decode to themselves") {
  const float narrow = -0x1.234568p-140f;  // subnormal
  const double wide = 0x1.123456789ABCDp-1000;
  const std::int32_t whole = -2'000'000'001;
  CHECK(decode(Dtype::fp32, &narrow) == static_cast<double>(narrow));
  CHECK(decode(Dtype::fp64, &wide) == wide);
  CHECK(decode(Dtype::int32, &whole) == -2'000'000'001.0);
}

TEST_CASE("strided elements decode in order, at any alignment") {
  const std::uint16_t stored[] = {0x3F80, 0x4000, 0x4040, 0x4080, 0x40A0};  // bf16 1 2 3 4 5
  std::vector<unsigned char> shifted(sizeof stored + 1);
  std::memcpy(shifted.data() + 1, stored, sizeof stored);
  std::vector<double> out(3);
  decode(Dtype::bf16, shifted.data() + 1, 3, 2, out.data());
  CHECK(out == std::vector<double>{1, 3, 5});
  decode(Dtype::bf16, shifted.data() + 9, 3, -2, out.data());
  CHECK(out == std::vector<double>{5, 3, 1});
}

TEST_CASE("names of types read back, ours and those of PyTorch") {
  for (Dtype dtype : {Dtype::fp64, Dtype::fp32, Dtype::fp16, Dtype::bf16, Dtype::e4m3, Dtype::e5m2,
                      Dtype::int32, Dtype::boolean}) {
    CHECK(parse_dtype(name(dtype)) == dtype);
    CHECK(parse_torch_dtype(torch_name(dtype)) == dtype);
  }
  CHECK(torch_name(Dtype::bf16) == "bfloat16");
  CHECK(torch_name(Dtype::e4m3) == "float8_e4m3fn");
  CHECK(torch_name(Dtype::e5m2) == "float8_e5m2");
  CHECK_THROWS_WITH(parse_dtype("half"), Catch::Contains("got half"));
  CHECK_THROWS_WITH(parse_torch_dtype("half"), Catch::Contains("got half"));
}
