#include "cuda/kernels/gemm.h"

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tests/catch.h"
#include "tests/cuda/layer_support.h"

using namespace attest;

namespace {

/// A product of its own tensors; rows of a and c lie `gap` elements apart from their neighbours.
struct Product {
  Index B = 1, M, heads = 1, N, K;
  WeightLayout layout = WeightLayout::nk;
  Dtype dtype = Dtype::bf16;
  bool bias = false;
  Index gap = 0;
  Tensor a = test::noise_tensor("a", dtype, {B, M, heads, K + gap});
  Tensor w = test::noise_tensor("w", dtype, {heads, N, K});
  Tensor b = test::noise_tensor("b", dtype, {N}, 20);
  Tensor c{"c", dtype, "BMHN", {B, M, heads, N + gap}};
  std::vector<int> lens = {};

  GemmParams params() {
    const Index row_a = heads * (K + gap), row_c = heads * (N + gap);
    return {.a = a.bytes().data(),
            .w = w.bytes().data(),
            .bias = bias ? b.bytes().data() : nullptr,
            .c = c.bytes().data(),
            .a_stride = {M * row_a, row_a, K + gap},
            .w_stride = {0, layout == WeightLayout::nk ? K : N, N * K},
            .c_stride = {M * row_c, row_c, N + gap},
            .block_table = nullptr,
            .page = 0,
            .pages_per_row = 0,
            .lens = lens.empty() ? nullptr : lens.data(),
            .B = static_cast<int>(B),
            .M = static_cast<int>(M),
            .heads = static_cast<int>(heads),
            .N = static_cast<int>(N),
            .K = static_cast<int>(K)};
  }
  void run() { ATTEST_BACKEND::launch_gemm(dtype, layout, params()); }
  Index row_of(Index batch, Index m, Index h) const { return (batch * M + m) * heads + h; }
  Index length(Index batch) const {
    return lens.empty() ? M : lens[static_cast<std::size_t>(batch)];
  }
};

/// Worst error against a sum in double of row `row_a` of a, in units of its bound: a product of
/// 16-bit numbers is exact in fp32, each of the K additions and that of the bias rounds the sum.
double worst_of_row(const Product& p, const std::vector<double>& a, const std::vector<double>& w,
                    Index row_a, Index row_c, Index h) {
  test::WorstRatio ratio;
  for (Index n = 0; n < p.N; ++n) {
    double sum = 0, magnitude = 0;
    for (Index k = 0; k < p.K; ++k) {
      const Index at = p.layout == WeightLayout::nk ? n * p.K + k : k * p.N + n;
      const double term = a[static_cast<std::size_t>(row_a * (p.K + p.gap) + k)] *
                          w[static_cast<std::size_t>(h * p.N * p.K + at)];
      sum += term;
      magnitude += std::abs(term);
    }
    const double bias = p.bias ? p.b.value(n) : 0;
    const double error = static_cast<double>(p.K + 1) * 0x1p-24 * (magnitude + std::abs(bias));
    ratio.add(p.c.value(row_c * (p.N + p.gap) + n), sum + bias,
              1.01 * error + 1.01 * test::rounding(p.dtype, std::abs(sum + bias) + error));
  }
  return ratio.worst();
}

double worst(const Product& p) {
  const std::vector<double> a = test::values(p.a), w = test::values(p.w);
  double result = 0;
  for (Index b = 0; b < p.B; ++b)
    for (Index m = 0; m < p.length(b); ++m)
      for (Index h = 0; h < p.heads; ++h) {
        const Index row = p.row_of(b, m, h);
        result = std::max(result, worst_of_row(p, a, w, row, row, h));
      }
  return result;
}

/// Elements of c that no row of the product has and that somebody wrote; fresh tensors are NaN.
Index strays(const Product& p) {
  Index count = 0;
  for (Index b = 0; b < p.B; ++b)
    for (Index m = 0; m < p.M; ++m)
      for (Index h = 0; h < p.heads; ++h)
        for (Index n = m < p.length(b) ? p.N : 0; n < p.N + p.gap; ++n)
          count += !std::isnan(p.c.value(p.row_of(b, m, h) * (p.N + p.gap) + n));
  return count + !p.c.canary_intact();
}

}  // namespace

TEST_CASE("a gemm gives the sums of double loops", "[gemm]") {
  struct Shape {
    Index M, N, K;
  };
  constexpr Shape kShapes[] = {{1, 8, 8},     {1, 128, 64},  {3, 136, 72},  {16, 24, 200},
                               {17, 264, 40}, {64, 128, 64}, {65, 56, 136}, {130, 392, 8}};
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const WeightLayout layout = GENERATE(WeightLayout::nk, WeightLayout::kn);
  const bool bias = GENERATE(false, true);
  for (const auto& [M, N, K] : kShapes) {
    CAPTURE(M, N, K, name(dtype), static_cast<int>(layout), bias);
    Product p{.M = M, .N = N, .K = K, .layout = layout, .dtype = dtype, .bias = bias};
    p.run();
    CHECK(worst(p) <= 1);
    CHECK(strays(p) == 0);
  }
}

TEST_CASE("a gemm of heads writes its own rows only, in any order of warps", "[gemm]") {
  const WeightLayout layout = GENERATE(WeightLayout::nk, WeightLayout::kn);
  const Index M = GENERATE(5, 70);
  const Schedule schedule = GENERATE(0, 1, 4711);
  CAPTURE(static_cast<int>(layout), M, schedule);
  Product p{.B = 2, .M = M, .heads = 3, .N = 72, .K = 88, .layout = layout, .gap = 16};
  const test::WithSchedule scope(schedule);
  p.run();
  CHECK(worst(p) <= 1);
  CHECK(strays(p) == 0);
}

TEST_CASE("a row of a gemm has the same bits among any number of rows", "[gemm]") {
  const WeightLayout layout = GENERATE(WeightLayout::nk, WeightLayout::kn);
  Product many{.M = 100, .N = 200, .K = 328, .layout = layout, .dtype = Dtype::fp16, .bias = true};
  many.run();
  for (const Index M : {1, 15, 16, 17, 64}) {
    CAPTURE(M);
    Product few{.M = M, .N = 200, .K = 328, .layout = layout, .dtype = Dtype::fp16, .bias = true};
    few.run();
    const auto bytes = few.c.bytes();
    CHECK(std::memcmp(bytes.data(), many.c.bytes().data(), bytes.size()) == 0);
  }
}

TEST_CASE("a gemm neither reads nor writes rows behind a length", "[gemm]") {
  const Index M = GENERATE(13, 150);
  Product p{.B = 4, .M = M, .N = 40, .K = 72, .gap = 8};
  p.lens = {static_cast<int>(M), 0, 9, static_cast<int>(M) - 1};
  auto bits = p.a.as<std::uint16_t>();
  for (Index b = 0; b < p.B; ++b)  // rows that do not exist are NaN
    for (Index n = p.row_of(b, p.length(b), 0) * (p.K + p.gap);
         n < p.row_of(b, M, 0) * (p.K + p.gap); ++n)
      bits[static_cast<std::size_t>(n)] = 0x7fff;
  p.run();
  CHECK(worst(p) <= 1);
  CHECK(strays(p) == 0);
}

TEST_CASE("a gemm finds the rows of a cache in pages", "[gemm]") {
  constexpr Index kPage = 24, kPages = 9, M = 70, kWidth = 3;
  const Tensor cache = test::noise_tensor("cache", Dtype::bf16, {kPages, kPage, 72});
  const std::vector<int> table = {4, 0, 7, 1, 3, -1};
  Product p{.B = 2, .M = M, .N = 200, .K = 64, .gap = 8};
  p.lens = {70, 30};
  GemmParams params = p.params();
  params.a = cache.bytes().data();
  params.a_stride = {kPage * 72, 72, 72};
  params.block_table = table.data();
  params.page = kPage;
  params.pages_per_row = kWidth;
  ATTEST_BACKEND::launch_gemm(p.dtype, p.layout, params);
  const std::vector<double> a = test::values(cache), w = test::values(p.w);
  for (Index b = 0; b < p.B; ++b)
    for (Index m = 0; m < p.length(b); ++m) {
      CAPTURE(b, m);
      const Index page = table[static_cast<std::size_t>(b * kWidth + m / kPage)];
      REQUIRE(worst_of_row(p, a, w, page * kPage + m % kPage, p.row_of(b, m, 0), 0) <= 1);
    }
  CHECK(strays(p) == 0);
}

TEST_CASE("a gemm refuses widths that are no whole chunks", "[gemm]") {
  Product p{.M = 2, .N = 12, .K = 16};
  CHECK_THROWS_WITH(p.run(), "gemm: N and K must be positive multiples of 8, got N=12 K=16");
}
