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

double decoded(Dtype dtype, std::uint16_t bits) { return decode(dtype, &bits); }

/// The double above x (below x when `up` is false).
double next(double x, bool up) { return std::nextafter(x, up ? kInfinity : -kInfinity); }

/// Patterns of the finite numbers from +0 up: 0 .. count - 1, in order of value.
unsigned finite_count(Dtype dtype) { return dtype == Dtype::fp16 ? 0x7C00 : 0x7F80; }

}  // namespace

TEST_CASE("every 16-bit number encodes to itself") {
  const Dtype dtype = GENERATE(Dtype::fp16, Dtype::bf16);
  unsigned wrong = 0;
  for (unsigned n = 0; n < 0x10000; ++n) {
    const auto bits = static_cast<std::uint16_t>(n);
    const double value = decoded(dtype, bits);
    if (!std::isnan(value)) wrong += bits16(dtype, value) != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE(
    "between two 16-bit neighbours the midpoint goes to the even one, all else to the nearer") {
  const Dtype dtype = GENERATE(Dtype::fp16, Dtype::bf16);
  const int sign = GENERATE(0, 1);
  const unsigned count = finite_count(dtype);
  unsigned wrong = 0;
  for (unsigned low = 0; low < count; ++low) {
    // The neighbour of the largest number is where infinity starts: 2^(max_exponent + 1).
    const unsigned high = low + 1;
    const double below = decoded(dtype, static_cast<std::uint16_t>(low));
    const double above = high < count ? decoded(dtype, static_cast<std::uint16_t>(high))
                                      : std::ldexp(1, format_of(dtype).max_exponent + 1);
    const double middle = (below + above) / 2;  // exact in double
    const auto is = [&](double value, unsigned bits) {
      const unsigned got = bits16(dtype, sign ? -value : value);
      return got == (bits | (sign ? 0x8000u : 0u));
    };
    wrong += !is(middle, low % 2 == 0 ? low : high);
    wrong += !is(next(middle, false), low);
    wrong += !is(next(middle, true), high);
    wrong += !is(next(above, false), high);
    if (low > 0) wrong += !is(next(below, true), low);
  }
  CHECK(wrong == 0);
}

TEST_CASE("rounding happens once, not by way of fp32") {
  // In fp32 the last bit is lost and a tie remains, which goes to the even neighbour 1.
  CHECK(round_to(Dtype::fp16, 1 + 0x1p-11 + 0x1p-40) == 1 + 0x1p-10);
  CHECK(round_to(Dtype::bf16, 1 + 0x1p-8 + 0x1p-40) == 1 + 0x1p-7);
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
  CHECK(encoded<std::uint32_t>(Dtype::fp32, signalling) == 0xFFC00000);
  CHECK(encoded<std::uint64_t>(Dtype::fp64, signalling) == 0xFFF8000000000000);
}

TEST_CASE("integers are no target of rounding") {
  CHECK_THROWS_AS(round_to(Dtype::int32, 1), Error);
}
