#include "reference/rope.h"

#include <omp.h>

#include <cmath>
#include <complex>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.h"

using namespace attest;
using namespace attest::reference;

namespace {

constexpr Index kD = 64, kLast = 131071;
const std::vector<Index> kPositions = {0, 1, 7, 257, 4095, 15962, kLast};

Rope with(RopePairing pairing, const std::string& text = "default") {
  Rope rope = parse_rope(text);
  rope.pairing = pairing;
  check(rope, kD);
  return rope;
}

std::vector<double> normal(Index count, unsigned seed = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> draw;
  std::vector<double> x(static_cast<std::size_t>(count));
  for (double& value : x) value = draw(engine);
  return x;
}

// x [rows, D], row n at positions[n]
std::vector<double> rotated(const Rope& rope, const std::vector<Index>& positions,
                            std::vector<double> x, Index D = kD) {
  rotate(rope_table(rope, D, positions), 1, D, x.data());
  return x;
}

// P of each row: even elements first, then the odd ones.
std::vector<double> permuted(const std::vector<double>& x) {
  std::vector<double> y(x.size());
  for (std::size_t row = 0; row < x.size(); row += kD)
    for (std::size_t r = 0; r < kD / 2; ++r)
      y[row + r] = x[row + 2 * r], y[row + kD / 2 + r] = x[row + 2 * r + 1];
  return y;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double worst = 0;
  for (std::size_t n = 0; n < a.size(); ++n) worst = std::max(worst, std::abs(a[n] - b[n]));
  return worst;
}

const auto kHalf = RopePairing::half, kInterleaved = RopePairing::interleaved,
           kDeinterleave = RopePairing::deinterleave;

}  // namespace

TEST_CASE("a pair turns counterclockwise by position times frequency") {
  // D = 4: pair 0 turns by 1, pair 1 by 1/100 radian a position.
  const double c = std::cos(3.0), s = std::sin(3.0), c1 = std::cos(0.03), s1 = std::sin(0.03);
  const auto turned = [&](RopePairing pairing) {
    return rotated(with(pairing), {3}, {1, 2, 5, 7}, 4);
  };
  CHECK(distance(turned(kHalf), {c - 5 * s, 2 * c1 - 7 * s1, 5 * c + s, 7 * c1 + 2 * s1}) < 1e-15);
  CHECK(distance(turned(kInterleaved), {c - 2 * s, 2 * c + s, 5 * c1 - 7 * s1, 7 * c1 + 5 * s1}) <
        1e-15);
  CHECK(distance(turned(kDeinterleave), {c - 2 * s, 5 * c1 - 7 * s1, 2 * c + s, 7 * c1 + 5 * s1}) <
        1e-15);
}

TEST_CASE("interleaved is multiplication by complex numbers of modulus A") {
  const Rope rope = with(kInterleaved, "yarn:factor:40,orig:4096,mscale_all_dim:0.707");
  const std::vector<double> f = inverse_frequencies(rope, kD);
  const std::vector<double> x = normal(kD);
  for (const Index position : kPositions) {
    const std::vector<double> y = rotated(rope, {position}, x);
    for (std::size_t r = 0; r < kD / 2; ++r) {
      const double angle = double(position) * f[r];
      const auto z = std::polar(1.085726399256135, angle) * std::complex(x[2 * r], x[2 * r + 1]);
      CHECK(std::abs(z - std::complex(y[2 * r], y[2 * r + 1])) < 1e-14);
    }
  }
}

TEST_CASE("deinterleave is half after P and P after interleaved, to the bit") {
  const std::vector<double> x = normal(Index(kPositions.size()) * kD);
  const std::vector<double> y = rotated(with(kDeinterleave), kPositions, x);
  CHECK(y == rotated(with(kHalf), kPositions, permuted(x)));
  CHECK(y == permuted(rotated(with(kInterleaved), kPositions, x)));
  CHECK(distance(y, rotated(with(kInterleaved), kPositions, x)) > 1);
}

TEST_CASE("scores agree where both sides use interleaved or both deinterleave, and only there") {
  const std::vector<double> q = normal(kD, 2), k = normal(kD, 3);
  const auto score = [&](RopePairing of_q, RopePairing of_k) {
    return dot(rotated(with(of_q), {4095}, q), rotated(with(of_k), {257}, k));
  };
  const double right = score(kInterleaved, kInterleaved);
  CHECK(std::abs(score(kDeinterleave, kDeinterleave) - right) < 1e-13);
  CHECK(std::abs(score(kHalf, kHalf) - right) > 1);
  CHECK(std::abs(score(kDeinterleave, kInterleaved) - right) > 1);
  CHECK(std::abs(score(kInterleaved, kDeinterleave) - right) > 1);
}

TEST_CASE("rotation multiplies norms by the concentration") {
  const std::string text =
      GENERATE("default", "llama3:factor:8,orig:8192", "yarn:factor:40,orig:4096",
               "yarn:factor:40,orig:4096,"
               "mscale_all_dim:1");
  const RopePairing pairing = GENERATE(kHalf, kInterleaved, kDeinterleave);
  const Rope rope = with(pairing, text);
  const std::vector<double> x = normal(kD);
  for (const Index position : kPositions) {
    const std::vector<double> y = rotated(rope, {position}, x);
    CHECK(std::sqrt(dot(y, y) / dot(x, x)) == Approx(concentration(rope)).epsilon(1e-14));
  }
}

TEST_CASE("a score depends on the distance of query and key alone") {
  const std::string text = GENERATE("default", "linear:factor:4", "llama3:factor:8,orig:8192",
                                    "yarn:factor:40,orig:4096,mscale_all_dim:1");
  const RopePairing pairing = GENERATE(kHalf, kInterleaved, kDeinterleave);
  const Rope rope = with(pairing, text);
  const std::vector<double> q = normal(kD, 2), k = normal(kD, 3);
  const auto score = [&](Index i, Index j) {
    return dot(rotated(rope, {i}, q), rotated(rope, {j}, k));
  };
  CAPTURE(print(rope));
  for (const Index shift : {1, 1000, 131000}) {
    CHECK(std::abs(score(shift + 71, shift + 5) - score(71, 5)) < 1e-9);
    CHECK(std::abs(score(shift + 71, 5) - score(71, 5)) > 1e-2);
  }
}

TEST_CASE("partial rotation leaves the other values alone, to the bit") {
  const RopePairing pairing = GENERATE(kHalf, kInterleaved, kDeinterleave);
  Rope part = with(pairing, "yarn:factor:40,orig:4096");
  const Rope whole = part;
  part.dim = 48;
  const std::vector<double> x = normal(kD);
  const std::vector<double> y = rotated(part, {4095}, x);
  CHECK(std::vector(y.begin() + 48, y.end()) == std::vector(x.begin() + 48, x.end()));
  CHECK(std::vector(y.begin(), y.begin() + 48) ==
        rotated(whole, {4095}, std::vector(x.begin(), x.begin() + 48), 48));
}

TEST_CASE("the trailing values of a row turn when the row is passed from there on") {
  const Index Dn = 128, D = Dn + kD, heads = 3;
  const std::vector<Index> positions = {5, 4095};
  const Rope rope = with(kInterleaved);
  const std::vector<double> x = normal(heads * 2 * D);
  std::vector<double> y = x;
  rotate(rope_table(rope, kD, positions), heads, D, y.data() + Dn);
  for (Index n = 0; n < heads * 2; ++n) {
    const double *row_x = x.data() + n * D, *row_y = y.data() + n * D;
    CHECK(std::vector(row_y, row_y + Dn) == std::vector(row_x, row_x + Dn));
    CHECK(std::vector(row_y + Dn, row_y + D) ==
          rotated(rope, {positions[std::size_t(n % 2)]}, std::vector(row_x + Dn, row_x + D)));
  }
}

TEST_CASE("rotation by the negative position restores the values") {
  std::vector<Index> back = kPositions;
  for (Index& position : back) position = -position;
  const std::vector<double> x = normal(Index(kPositions.size()) * kD);
  for (const RopePairing pairing : {kHalf, kInterleaved})
    CHECK(distance(rotated(with(pairing), back, rotated(with(pairing), kPositions, x)), x) < 1e-14);
  const std::vector<double> y = rotated(with(kDeinterleave), kPositions, x);
  CHECK(distance(rotated(with(kHalf), back, y), permuted(x)) < 1e-14);
}

TEST_CASE("position 0 multiplies by the concentration, so by 1 without YaRN") {
  const std::vector<double> x = normal(kD);
  CHECK(rotated(with(kHalf), {0}, x) == x);
  CHECK(rotated(with(kInterleaved, "yarn:factor:40,orig:4096,mscale_all_dim:1"), {0}, x) == x);
  CHECK(rotated(with(kDeinterleave), {0}, x) == permuted(x));
  std::vector<double> scaled = x;
  for (double& value : scaled) value *= 1.368887945411394;
  CHECK(distance(rotated(with(kHalf, "yarn:factor:40,orig:4096"), {0}, x), scaled) < 1e-14);
}

TEST_CASE("no embedding turns nothing") {
  const std::vector<double> x = normal(kD);
  CHECK(rotated(Rope{}, {4095}, x) == x);
  CHECK(rotated(Rope{}, {4095}, normal(7), 7) == normal(7));
}

TEST_CASE("the bits do not depend on the number of threads") {
  std::vector<Index> positions(100);
  std::iota(positions.begin(), positions.end(), kLast - 99);
  const RopeTable table = rope_table(with(kDeinterleave), kD, positions);
  const int before = omp_get_max_threads();
  std::vector<std::vector<double>> results;
  for (const int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    results.push_back(normal(3 * 100 * kD));
    rotate(table, 3, kD, results.back().data());
  }
  omp_set_num_threads(before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}
