// What the benchmark of products compares: ours against sums in double, and where the library is.
#include "cuda/multiplier.h"

#include <algorithm>
#include <cmath>
#include <regex>

#include "cases/error.h"
#include "tests/catch.h"
#include "tests/cuda/layer_support.h"

using namespace attest;

namespace {

const Multiplier& emulated() { return multipliers().front(); }

struct Product {
  Index M, N, K;
  Dtype dtype = Dtype::bf16;
  Tensor a = test::noise_tensor("a", dtype, {M, K});
  Tensor w = test::noise_tensor("w", dtype, {N, K});
  Tensor c{"c", dtype, "MN", {M, N}};
};

}  // namespace

TEST_CASE("the emulated multiplier gives a times the transposed weights", "[multiplier]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  Product p{.M = 5, .N = 72, .K = 40, .dtype = dtype};
  REQUIRE(emulated().missing().empty());
  emulated().run(p.a, p.w, p.c);
  test::WorstRatio ratio;
  for (Index m = 0; m < p.M; ++m)
    for (Index n = 0; n < p.N; ++n) {
      double sum = 0, magnitude = 0;
      for (Index k = 0; k < p.K; ++k) {
        const double term = p.a.value(m * p.K + k) * p.w.value(n * p.K + k);
        sum += term;
        magnitude += std::abs(term);
      }
      const double error = 0x1p-23 * static_cast<double>(p.K) * magnitude;
      ratio.add(p.c.value(m * p.N + n), sum, error + test::rounding(dtype, std::abs(sum) + error));
    }
  CHECK(ratio.worst() <= 1);
}

TEST_CASE("timed products leave the bits of a run and take time", "[multiplier]") {
  Product p{.M = 17, .N = 136, .K = 72};
  emulated().run(p.a, p.w, p.c);
  Tensor timed("c", p.dtype, "MN", {p.M, p.N});
  const LaunchTimes times = emulated().time(p.a, p.w, timed, 0);
  CHECK(test::same_bits(p.c, timed));
  CHECK(times.cold.size() == 5);
  CHECK(std::all_of(times.cold.begin(), times.cold.end(), [](double s) { return s > 0; }));
}

TEST_CASE("a multiplier refuses tensors that are no product", "[multiplier]") {
  Product p{.M = 3, .N = 16, .K = 24};
  const Tensor narrow = test::noise_tensor("w", Dtype::bf16, {16, 16});
  const Tensor half = test::noise_tensor("w", Dtype::fp16, {16, 24});
  const Tensor flat = test::noise_tensor("w", Dtype::bf16, {16 * 24});
  Tensor tall("c", Dtype::bf16, "MN", {16, 3});
  for (const Multiplier& by : multipliers()) {
    if (!by.missing().empty()) continue;
    CAPTURE(by.name, name(by.backend));
    CHECK_THROWS_WITH(by.run(p.a, narrow, p.c), Catch::Contains("w must be [N,K] and c [M,N]"));
    CHECK_THROWS_WITH(by.run(p.a, half, p.c), Catch::Contains("must all be bf16 or all fp16"));
    CHECK_THROWS_WITH(by.run(p.a, flat, p.c), Catch::Contains("a and w must be matrices"));
    CHECK_THROWS_AS(by.run(p.a, p.w, tall), Error);
  }
}

TEST_CASE("libraries to compare with are loaded with all their functions", "[multiplier]") {
  for (const Multiplier& by : multipliers()) {
    if (by.version == nullptr) continue;
    CAPTURE(by.name);
    CHECK(std::regex_match(by.version(), std::regex("[1-9][0-9]*\\.[0-9]+\\.[0-9]+")));
    // Here it is, so that nothing but a GPU can be missing.
    CHECK((by.missing().empty() || by.missing() == "no GPU"));
  }
}
