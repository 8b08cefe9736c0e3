#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "reference/rope.h"
#include "tests/catch.h"

using namespace attest;
using namespace attest::reference;

// The tables against long double: 64 bits of precision on x86-64, 113 on most other machines.
namespace {

using Real = long double;
constexpr Index kD = 64;
const std::vector<Index> kPositions = {0, 1, 257, 4095, 15962, 131071};

// The frequency of pair r straight from the papers, in terms of wavelengths and exponentials.
Real frequency_by_hand(const Rope& rope, Index r) {
  const Real turn = 2 * std::numbers::pi_v<Real>, orig = Real(rope.orig), factor = rope.factor;
  const Real ln_theta = std::log(Real(rope.theta));
  const Real f = std::exp(Real(-2 * r) / Real(kD) * ln_theta), wavelength = turn / f;
  const auto blend = [&](Real kept) { return f * (kept + (1 - kept) / factor); };
  if (rope.kind == RopeKind::linear) return blend(0);
  if (rope.kind == RopeKind::llama3) {
    const Real low = rope.low_freq_factor, high = rope.high_freq_factor;
    if (wavelength < orig / high) return blend(1);
    if (wavelength > orig / low) return blend(0);
    return blend((orig / wavelength - low) / (high - low));
  }
  if (rope.kind == RopeKind::yarn) {
    const auto pair = [&](Real turns) {
      return std::log(orig / turns / turn) / ln_theta * Real(kD) / 2;
    };
    Real first = pair(rope.beta_fast), last = pair(rope.beta_slow);
    if (rope.truncate) first = std::floor(first), last = std::ceil(last);
    if (Real(r) <= first) return blend(1);
    if (Real(r) >= last) return blend(0);
    return blend((last - Real(r)) / (last - first));
  }
  return f;
}

std::vector<Rope> ropes() {
  std::vector<Rope> all;
  for (const char* text : {"default", "default:theta:1e+06", "linear:factor:4",
                           "llama3:theta:5e+05,factor:8,orig:8192",
                           "llama3:factor:3,orig:5000,low_freq_factor:2,high_freq_factor:9",
                           "yarn:factor:40,orig:4096,mscale_all_dim:1",
                           "yarn:theta:50000,factor:32,orig:4096,mscale_all_dim:1",
                           "yarn:theta:150000,factor:32,orig:4096,mscale_all_dim:1,truncate:false"})
    all.push_back(parse_rope(text));
  return all;
}

}  // namespace

// Most are off by some 2^-53; 1 - ramp cancels near the end of the ramp, so that 4e-15 occurs.
TEST_CASE("frequencies agree with long double within 1e-14") {
  for (const Rope& rope : ropes()) {
    check(rope, kD);
    const std::vector<double> f = inverse_frequencies(rope, kD);
    for (Index r = 0; r < kD / 2; ++r) {
      const Real exact = frequency_by_hand(rope, r);
      const Real error = std::abs(Real(f[std::size_t(r)]) - exact) / exact;
      CAPTURE(print(rope), r);
      CHECK(error < 1e-14L);
    }
  }
}

TEST_CASE("cos and sin of the angles are right to 1e-15 up to position 131071") {
  for (const Rope& rope : ropes()) {
    const std::vector<double> f = inverse_frequencies(rope, kD);
    const RopeTable table = rope_table(rope, kD, kPositions);
    REQUIRE(table.rows == Index(kPositions.size()));
    REQUIRE(table.Dr == kD);
    for (std::size_t n = 0; n < kPositions.size(); ++n)
      for (std::size_t r = 0; r < kD / 2; ++r) {
        const Real angle = double(kPositions[n]) * f[r];
        CAPTURE(print(rope), kPositions[n], r);
        CHECK(std::abs(table.cos[n * kD / 2 + r] - std::cos(angle)) < 1e-15L);
        CHECK(std::abs(table.sin[n * kD / 2 + r] - std::sin(angle)) < 1e-15L);
      }
  }
}

TEST_CASE("the angles themselves are right to 3e-11 radians up to position 131071") {
  for (const Rope& rope : ropes()) {
    const std::vector<double> f = inverse_frequencies(rope, kD);
    for (const Index position : kPositions)
      for (Index r = 0; r < kD / 2; ++r) {
        const Real angle = Real(position) * frequency_by_hand(rope, r);
        CAPTURE(print(rope), position, r);
        const Real error = std::abs(Real(double(position) * f[std::size_t(r)]) - angle);
        CHECK(error < 3e-11L);
      }
  }
}
