// Conversions, pack and exp2, for the backend that this file is compiled for; bit patterns are
// judged by cases/dtype.h's decoding.
#include <cfloat>
#include <cmath>
#include <limits>
#include <string>

#include "cases/error.h"
#include "tests/catch.h"
#include "tests/cuda/simt_primitives.h"

using namespace attest;
using namespace attest::ATTEST_BACKEND::primitives;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

double value_of(Dtype dtype, unsigned bits) {
  const auto pattern = static_cast<std::uint16_t>(bits);
  return decode(dtype, &pattern);
}

unsigned infinity_of(Dtype dtype) { return dtype == Dtype::bf16 ? 0x7f80u : 0x7c00u; }

/// Numbers, and the patterns that they round to.
struct Roundings {
  Floats x;
  Halves bits;

  void add(double value, unsigned pattern) {
    x.push_back(static_cast<float>(value));
    bits.push_back(static_cast<std::uint16_t>(pattern));
    x.push_back(static_cast<float>(-value));
    bits.push_back(static_cast<std::uint16_t>(pattern | 0x8000u));
  }
};

/// Every finite number, the middle between it and the next, and the floats next to that middle.
Roundings all_roundings(Dtype dtype) {
  Roundings r;
  for (unsigned p = 0; p < infinity_of(dtype); ++p) {
    const double here = value_of(dtype, p);
    const double gap =
        p + 1 < infinity_of(dtype) ? value_of(dtype, p + 1) - here : here - value_of(dtype, p - 1);
    const float middle = static_cast<float>(here + gap / 2);  // exact: it has 12 bits at most
    r.add(here, p);
    r.add(middle, p % 2 == 0 ? p : p + 1);
    r.add(std::nextafter(middle, 0.0f), p);
    r.add(std::nextafter(middle, kInf), p + 1);
  }
  r.add(FLT_MAX, infinity_of(dtype));
  r.add(kInf, infinity_of(dtype));
  r.add(FLT_TRUE_MIN, 0);
  return r;
}

std::string first_difference(const Floats& x, const Halves& got, const Halves& expected) {
  for (std::size_t n = 0; n < x.size(); ++n)
    if (got[n] != expected[n])
      return concat(x[n], " became pattern ", got[n], " instead of ", expected[n]);
  return "none";
}

}  // namespace

TEST_CASE("to_float is exact for all 65536 patterns", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  Halves patterns;
  for (unsigned p = 0; p < 0x10000; ++p) patterns.push_back(static_cast<std::uint16_t>(p));
  const Floats got = to_float(dtype, patterns);
  unsigned wrong = 0, nans = 0;
  for (unsigned p = 0; p < 0x10000; ++p) {
    const double expected = value_of(dtype, p);
    if (std::isnan(expected)) {
      ++nans;
      wrong += !std::isnan(got[p]);
    } else {
      wrong += got[p] != expected || std::signbit(got[p]) != std::signbit(expected);
    }
  }
  CHECK(wrong == 0);
  CHECK(nans == (dtype == Dtype::bf16 ? 2 * 127u : 2 * 1023u));
}

TEST_CASE("to_float is exact for all 256 patterns of 8 bits", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::e4m3, Dtype::e5m2);
  Halves patterns;
  for (unsigned p = 0; p < 256; ++p) patterns.push_back(static_cast<std::uint16_t>(p));
  const Floats got = to_float(dtype, patterns);
  unsigned nans = 0;
  for (unsigned p = 0; p < 256; ++p) {
    const double expected = value_of(dtype, p);
    CAPTURE(name(dtype), p, expected, got[p]);
    nans += std::isnan(expected);
    CHECK(std::isnan(expected) == std::isnan(got[p]));
    if (std::isnan(expected)) continue;
    CHECK(got[p] == expected);
    CHECK(std::signbit(got[p]) == std::signbit(expected));
  }
  CHECK(nans == (dtype == Dtype::e4m3 ? 2u : 6u));
}

TEST_CASE("8-bit numbers pass through both 16-bit types as they are", "[simt]") {
  const Dtype narrow = GENERATE(Dtype::e4m3, Dtype::e5m2),
              wide = GENERATE(Dtype::bf16, Dtype::fp16);
  Halves patterns;
  for (unsigned p = 0; p < 256; ++p)
    if (std::isfinite(value_of(narrow, p))) patterns.push_back(static_cast<std::uint16_t>(p));
  const Floats values = to_float(narrow, patterns);
  const Words pairs = pack(wide, values, values);
  unsigned wrong = 0;
  for (std::size_t n = 0; n < patterns.size(); ++n)
    for (const unsigned bits : {pairs[n] & 0xffffu, pairs[n] >> 16})
      wrong += value_of(wide, bits) != value_of(narrow, patterns[n]);
  CHECK(patterns.size() == (narrow == Dtype::e4m3 ? 254u : 248u));
  CHECK(wrong == 0);
}

TEST_CASE("from_float rounds to nearest, ties to even, through subnormals to infinity", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const Roundings r = all_roundings(dtype);
  CHECK(first_difference(r.x, from_float(dtype, r.x), r.bits) == "none");
}

TEST_CASE("from_float makes 0x7fff of every NaN", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const Floats nans{kNan, -kNan, std::nanf("1"), -std::nanf("0x3fffff"),
                    std::numeric_limits<float>::signaling_NaN()};
  CHECK(from_float(dtype, nans) == Halves(nans.size(), 0x7fff));
}

TEST_CASE("pack rounds like from_float and puts its first number low", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const Roundings r = all_roundings(dtype);
  const Floats high(r.x.rbegin(), r.x.rend());
  const Words got = pack(dtype, r.x, high);
  std::size_t wrong = 0;
  for (std::size_t n = 0; n < got.size(); ++n)
    wrong += got[n] != (r.bits[n] | std::uint32_t{r.bits[r.bits.size() - 1 - n]} << 16);
  CHECK(wrong == 0);
  const std::uint32_t one_and_two = dtype == Dtype::bf16 ? 0x40003f80u : 0x40003c00u;
  CHECK(pack(dtype, {1, kNan}, {2, -kNan}) == Words{one_and_two, 0x7fff7fffu});
}

TEST_CASE("exp2_approx has a relative error below 2^-22", "[simt]") {
  Floats x;
  for (int n = -125999; n < 128000; ++n) x.push_back(static_cast<float>(n) / 1000.0f);
  const Floats got = exp2_approx(x);
  double worst = 0;
  for (std::size_t n = 0; n < x.size(); ++n) {
    const double exact = std::exp2(static_cast<double>(x[n]));
    worst = std::max(worst, std::abs(got[n] - exact) / exact);
  }
  CHECK(worst < 0x1p-22);
  CHECK(worst > 0);  // it is not the exact function that was measured
}

TEST_CASE("exp2_approx flushes results below 2^-126, and knows the special numbers", "[simt]") {
  CHECK(exp2_approx({-126.0f, -126.5f, -127.0f, -149.0f, -1000.0f, -kInf}) ==
        Floats{0x1p-126f, 0, 0, 0, 0, 0});
  CHECK(exp2_approx({0.0f, -0.0f, FLT_TRUE_MIN, 1.0f, 10.0f, 128.0f, kInf}) ==
        Floats{1, 1, 1, 2, 1024, kInf, kInf});
  CHECK(std::isnan(exp2_approx({kNan})[0]));
}
