#include "cuda/kernels/rope_table.h"

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "tests/catch.h"

// Against numbers that were worked out elsewhere: by hand from the published formulas, in Python.

using namespace attest;

namespace {

struct Number {
  Index pair;
  double value;
};

/// Worst relative error of the frequencies of these pairs.
double worst(std::string_view rope, Index width, const std::vector<Number>& numbers) {
  const std::vector<double> got = rope_frequencies(parse_rope(rope), width);
  REQUIRE(static_cast<Index>(got.size()) == width / 2);
  double result = 0;
  for (const auto& [pair, value] : numbers)
    result = std::max(result, std::abs(got[static_cast<std::size_t>(pair)] / value - 1));
  return result;
}

Problem layer(std::string_view rest) {
  return parse_problem(std::string("gqa D=64 H=2 G=1 dtype=bf16 level=layer E=8 mask=causal ") +
                       std::string(rest));
}

}  // namespace

TEST_CASE("frequencies fall by equal factors, and linear scaling divides them all", "[rope]") {
  CHECK(worst("default", 8, {{0, 1}, {1, 0.1}, {2, 0.01}, {3, 0.001}}) < 1e-12);
  CHECK(worst("default:theta:65536", 16, {{1, 0.25}, {3, 1.0 / 64}, {7, 1.0 / 16384}}) < 1e-12);
  CHECK(worst("linear:factor:4", 8, {{0, 0.25}, {3, 0.00025}}) < 1e-12);
  CHECK(rope_frequencies(parse_rope("none"), 64).empty());
  CHECK(rope_frequencies(parse_rope("default:dim:16"), 64) ==
        rope_frequencies(parse_rope("default"), 16));
}

TEST_CASE("the frequencies of Llama 3.1 are kept, blended or divided by wavelength", "[rope]") {
  CHECK(worst("llama3:theta:500000,factor:8,orig:8192", 128,
              {{28, 3.211445994752591e-03},
               {29, 2.166570763503359e-03},
               {30, 1.371893567761138e-03},
               {31, 8.567514129196321e-04},
               {32, 5.248461609929547e-04},
               {33, 3.126937503840652e-04},
               {34, 1.785078127679964e-04},
               {35, 9.556212353964683e-05},
               {63, 3.068925988914511e-07}}) < 1e-12);
}

TEST_CASE("the frequencies of YaRN are kept, blended or divided by pair", "[rope]") {
  CHECK(worst("yarn:factor:40,orig:4096", 64,
              {{0, 1.0},
               {1, 7.498942093324559e-01},
               {5, 2.371373705661655e-01},
               {10, 5.623413251903491e-02},
               {11, 3.900692656714386e-02},
               {12, 2.687936011143122e-02},
               {15, 8.334508951020777e-03},
               {16, 5.5e-03},
               {20, 7.905694150420946e-04},
               {22, 1.778279410038922e-04},
               {23, 3.333803580408310e-05},
               {24, 2.5e-05},
               {31, 3.333803580408310e-06}}) < 1e-12);
  CHECK(worst("yarn:theta:50000,factor:32,orig:4096", 64,
              {{8, 6.687403049764e-02},
               {9, 4.383875049879e-02},
               {12, 1.170923094930e-02},
               {16, 1.583881484062e-03},
               {20, 3.614046773573e-05},
               {31, 8.764412911590e-07}}) < 1e-12);
  CHECK(worst("yarn:theta:150000,factor:32,orig:4096,truncate:false", 64,
              {{9, 3.170569618466e-02},
               {12, 6.794959489732e-03},
               {16, 4.564839192232e-04},
               {17, 1.293187012451e-04},
               {18, 3.830881237375e-05}}) < 1e-12);
  CHECK(worst("yarn:theta:150000,factor:32,orig:4096", 64,
              {{9, 3.162075227535e-02},
               {12, 7.015713910504e-03},
               {16, 5.809475019311e-04},
               {17, 2.279477957951e-04}}) < 1e-12);
}

TEST_CASE("equal betas make YaRN a step, at the pair that turns once", "[rope]") {
  const std::string equal = "yarn:theta:50000,factor:32,orig:4096,beta_fast:1,beta_slow:1";
  const std::string truncate = GENERATE("", ",truncate:false");  // 19 to 20; at 19.16
  const auto step = rope_frequencies(parse_rope(equal + truncate), 64);
  const auto kept = rope_frequencies(parse_rope("default:theta:50000"), 64);
  for (std::size_t r = 0; r < 32; ++r) {
    CAPTURE(r);
    CHECK(step[r] == Approx(r <= 19 ? kept[r] : kept[r] / 32).epsilon(1e-13));
  }
}

TEST_CASE("the concentration is the ratio of YaRN's two lengths", "[rope]") {
  const auto concentration = [](std::string_view rope) {
    return rope_concentration(parse_rope(rope));
  };
  CHECK(concentration("yarn:factor:40,orig:4096") == Approx(1.368887945411394).epsilon(1e-14));
  CHECK(concentration("yarn:factor:40,orig:4096,mscale_all_dim:0.707") ==
        Approx(1.085726399256135).epsilon(1e-14));
  CHECK(concentration("yarn:factor:40,orig:4096,mscale_all_dim:1") == 1);
  CHECK(concentration("yarn:factor:1,orig:4096") == 1);
  CHECK(concentration("linear:factor:40") == 1);
}

TEST_CASE("a table has the new tokens' positions, those before the end of their entry", "[rope]") {
  const Problem p = layer("B=2 Sq=3 Sk=9 lens=9,4 rope=default:dim:8");
  const RopeTable table = rope_table(p);
  REQUIRE(table.pairs == 4);
  REQUIRE(table.cos.size() == 2 * 3 * 4);
  const double positions[] = {6, 7, 8, 1, 2, 3};
  for (std::size_t n = 0; n < 6; ++n)
    for (std::size_t r = 0; r < 4; ++r) {
      CAPTURE(n, r);
      const double angle = positions[n] / std::pow(10, static_cast<double>(r));
      CHECK(std::abs(table.cos[4 * n + r] - std::cos(angle)) < 3.1e-8);  // half an ulp of 1
      CHECK(std::abs(table.sin[4 * n + r] - std::sin(angle)) < 3.1e-8);
    }
}

TEST_CASE("angles hold at position 131071, where those of fp32 are off", "[rope]") {
  const Problem p = layer("B=1 Sq=1 Sk=131072 rope=yarn:factor:40,orig:4096");
  const RopeTable table = rope_table(p);
  const auto frequencies = rope_frequencies(p.rope, 64);
  double worst_of_table = 0, worst_of_fp32 = 0;
  for (std::size_t r = 0; r < 32; ++r) {
    const long double angle = 131071.0L * static_cast<long double>(frequencies[r]);
    const long double length = 1.368887945411394L;
    const long double want = length * std::cos(angle);
    const float product = 131071.0f * static_cast<float>(frequencies[r]);
    worst_of_table = std::max(worst_of_table, static_cast<double>(std::abs(table.cos[r] - want)));
    worst_of_fp32 =
        std::max(worst_of_fp32, static_cast<double>(std::abs(length * std::cos(product) - want)));
  }
  CHECK(worst_of_table < 6.1e-8);  // half an ulp of fp32 below 2, and 3e-11 of the angle
  CHECK(worst_of_fp32 > 1e-4);
}

TEST_CASE("MLA turns the rotary part of its heads", "[rope]") {
  const Problem p = parse_problem(
      "mla B=1 Sq=1 Sk=5 H=2 D=24 Dv=16 dtype=bf16 level=layer E=8 L=16 Dr=8 rope=default");
  CHECK(rope_table(p).pairs == 4);
}
