#include "harness/rounding.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "cases/error.h"
#include "harness/philox.h"
#include "tests/catch.h"

using namespace attest;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class Bits>
Bits encoded(Dtype dtype, double value) {
  Bits bits;
  encode(dtype, value, &bits);
  return bits;
}

std::uint16_t bits16(Dtype dtype, double value) { return encoded<std::uint16_t>(dtype, value); }
std::uint8_t bits8(Dtype dtype, double value) { return encoded<std::uint8_t>(dtype, value); }

/// Of a type of 8 or 16 bits.
unsigned narrow_bits(Dtype dtype, double value) {
  return size_of(dtype) == 1 ? bits8(dtype, value) : bits16(dtype, value);
}

double decoded(Dtype dtype, unsigned bits) {
  const auto stored = static_cast<std::uint16_t>(bits);
  return decode(dtype, &stored);  // little-endian: of 8 bits the first byte
}

/// The double above x (below x when `up` is false).
double next(double x, bool up) { return std::nextafter(x, up ? kInfinity : -kInfinity); }

/// Patterns of the finite numbers from +0 up: 0 .. count - 1, in order of value.
unsigned finite_count(Dtype dtype) {
  if (dtype == Dtype::e4m3) return 0x7F;
  if (dtype == Dtype::e5m2) return 0x7C;
  return dtype == Dtype::fp16 ? 0x7C00 : 0x7F80;
}

unsigned sign_of(Dtype dtype) { return size_of(dtype) == 1 ? 0x80 : 0x8000; }

}  // namespace

TEST_CASE("every 8-bit and 16-bit number encodes to itself") {
  const Dtype dtype = GENERATE(Dtype::fp16, Dtype::bf16, Dtype::e4m3, Dtype::e5m2);
  unsigned wrong = 0, numbers = 0;
  for (unsigned bits = 0; bits < 2 * sign_of(dtype); ++bits) {
    const double value = decoded(dtype, bits);
    if (std::isnan(value)) continue;
    wrong += narrow_bits(dtype, value) != bits;
    ++numbers;
  }
  CHECK(numbers == 2 * finite_count(dtype) + (dtype == Dtype::e4m3 ? 0 : 2));  // infinities
  CHECK(wrong == 0);
}

TEST_CASE(
    "between two neighbours of 8 or 16 bits the midpoint goes to the even one, all else to the "
    "nearer") {
  const Dtype dtype = GENERATE(Dtype::fp16, Dtype::bf16, Dtype::e4m3, Dtype::e5m2);
  const int sign = GENERATE(0, 1);
  const unsigned count = finite_count(dtype);
  unsigned wrong = 0;
  // e4m3 has no infinity, where its largest number would have a neighbour: it keeps what is above.
  for (unsigned low = 0; low + (dtype == Dtype::e4m3) < count; ++low) {
    // The neighbour of the largest number is where infinity starts: 2^(max_exponent + 1).
    const unsigned high = low + 1;
    const double below = decoded(dtype, low);
    const double above =
        high < count ? decoded(dtype, high) : std::ldexp(1, format_of(dtype).max_exponent + 1);
    const double middle = (below + above) / 2;  // exact in double
    const auto is = [&](double value, unsigned bits) {
      const unsigned got = narrow_bits(dtype, sign ? -value : value);
      return got == (bits | (sign ? sign_of(dtype) : 0u));
    };
    wrong += !is(middle, low % 2 == 0 ? low : high);
    wrong += !is(next(middle, false), low);
    wrong += !is(next(middle, true), high);
    wrong += !is(next(above, false), high);
    if (low > 0) wrong += !is(next(below, true), low);
  }
  CHECK(wrong == 0);
}

TEST_CASE("e4m3 saturates, e5m2 overflows to infinity") {
  for (const double value : {449.0, 464.0, 480.0, 1e4, 1e300, kInfinity}) {
    CAPTURE(value);
    CHECK(bits8(Dtype::e4m3, value) == 0x7E);
    CHECK(bits8(Dtype::e4m3, -value) == 0xFE);
  }
  CHECK(bits8(Dtype::e5m2, next(61440, false)) == 0x7B);
  CHECK(bits8(Dtype::e5m2, 61440) == 0x7C);
  CHECK(bits8(Dtype::e5m2, -kInfinity) == 0xFC);
}

TEST_CASE("8-bit numbers are numbers of both 16-bit types") {
  const Dtype narrow = GENERATE(Dtype::e4m3, Dtype::e5m2),
              wide = GENERATE(Dtype::fp16, Dtype::bf16);
  for (unsigned bits = 0; bits < 256; ++bits) {
    const double value = decoded(narrow, bits);
    CAPTURE(name(narrow), name(wide), bits);
    if (!std::isnan(value)) CHECK(round_to(wide, value) == value);
  }
}

TEST_CASE("rounding happens once, not by way of fp32") {
  // In fp32 the last bit is lost and a tie remains, which goes to the even neighbour 1.
  CHECK(round_to(Dtype::fp16, 1 + 0x1p-11 + 0x1p-40) == 1 + 0x1p-10);
  CHECK(round_to(Dtype::bf16, 1 + 0x1p-8 + 0x1p-40) == 1 + 0x1p-7);
  CHECK(round_to(Dtype::e4m3, 1 + 0x1p-4 + 0x1p-40) == 1 + 0x1p-3);
  CHECK(round_to(Dtype::e5m2, 1 + 0x1p-3 + 0x1p-40) == 1 + 0x1p-2);
  CHECK(round_to(Dtype::fp16, 0x1p-25 + 0x1p-60) == 0x1p-24);
  CHECK(round_to(Dtype::bf16, 0x1p-134 + 0x1p-180) == 0x1p-133);
  // Just below the tie: fp32 would round up to it, and the tie up again.
  CHECK(round_to(Dtype::fp16, 1 + 3 * 0x1p-11 - 0x1p-40) == 1 + 0x1p-10);
  CHECK(round_to(Dtype::bf16, 1 + 3 * 0x1p-8 - 0x1p-40) == 1 + 0x1p-7);
}

TEST_CASE("fp32 agrees with the processor on random bit patterns") {
  const Stream stream(1, "rounding");
  Index wrong = 0;
  for (Index n = 0; n < 100'000; ++n) {
    const Draw draw = stream.at(0, 0, 0, n);
    // Any double, then one whose exponent lies in the range of fp32 or just outside.
    const auto any = std::bit_cast<double>(draw.word[0]);
    const double near =
        std::ldexp(1 + draw.uniform(), static_cast<int>(draw.word[1] % 300) - 160) + 0x1p-170;
    for (const double value : {any, near, -near})
      if (!std::isnan(value))
        wrong += encoded<std::uint32_t>(Dtype::fp32, value) !=
                 std::bit_cast<std::uint32_t>(static_cast<float>(value));
  }
  CHECK(wrong == 0);
}

TEST_CASE("fp32 breaks ties to even, in the subnormal range and at overflow as well") {
  CHECK(round_to(Dtype::fp32, 1 + 0x1p-24) == 1);
  CHECK(round_to(Dtype::fp32, 1 + 3 * 0x1p-24) == 1 + 0x1p-22);
  CHECK(round_to(Dtype::fp32, 0x1p-150) == 0);
  CHECK(round_to(Dtype::fp32, 3 * 0x1p-150) == 0x1p-148);
  CHECK(round_to(Dtype::fp32, next(0x1.ffffffp127, false)) == 0x1.fffffep127);
  CHECK(round_to(Dtype::fp32, 0x1.ffffffp127) == kInfinity);
}

TEST_CASE("fp64 keeps every number as it is") {
  for (const double value : {0.1, -0.0, 0x1p-1074, 0x1.fffffffffffffp1023, -kInfinity})
    CHECK(encoded<std::uint64_t>(Dtype::fp64, value) == std::bit_cast<std::uint64_t>(value));
}

TEST_CASE("zeros and infinities keep their sign") {
  CHECK(bits16(Dtype::fp16, -0.0) == 0x8000);
  CHECK(bits16(Dtype::bf16, -1e-300) == 0x8000);
  CHECK(bits16(Dtype::bf16, -0x1p-1074) == 0x8000);
  CHECK(bits16(Dtype::fp16, -kInfinity) == 0xFC00);
  CHECK(bits16(Dtype::bf16, kInfinity) == 0x7F80);
  CHECK(encoded<std::uint32_t>(Dtype::fp32, 1e300) == 0x7F800000);
}

TEST_CASE("every NaN becomes the quiet one of its sign") {
  const auto signalling = std::bit_cast<double>(std::uint64_t{0xFFF0000000000001});
  const double quiet = std::numeric_limits<double>::quiet_NaN();
  CHECK(bits16(Dtype::fp16, signalling) == 0xFE00);
  CHECK(bits16(Dtype::bf16, signalling) == 0xFFC0);
  CHECK(bits16(Dtype::bf16, quiet) == 0x7FC0);
  CHECK(bits8(Dtype::e5m2, quiet) == 0x7E);
  CHECK(bits8(Dtype::e4m3, quiet) == 0x7F);
  CHECK(bits8(Dtype::e4m3, signalling) == 0xFF);
  CHECK(encoded<std::uint32_t>(Dtype::fp32, signalling) == 0xFFC00000);
  CHECK(encoded<std::uint64_t>(Dtype::fp64, signalling) == 0xFFF8000000000000);
}

TEST_CASE("integers are no target of rounding") {
  CHECK_THROWS_AS(round_to(Dtype::int32, 1), Error);
}
