#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/catch.h"
#include "tests/cuda/kernels_support.h"

// Attention whose answer is known in closed form, on every emulated kernel.

using namespace attest;
using test::make_inputs;
using test::noise;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const Kernel& emulated(const char* name) { return find_kernel(name, Backend::emu); }

test::Value constant(double x) {
  return [x](Index, Index, Index, Index) { return x; };
}

/// o[b, i, h, d] and lse[b, h, i] of contiguous outputs.
double o_at(const Problem& p, const TensorSet& outputs, Index b, Index i, Index h, Index d) {
  return outputs.at("o").value(((b * p.Sq + i) * p.H + h) * p.Dv + d);
}
double lse_at(const Problem& p, const TensorSet& outputs, Index b, Index h, Index i) {
  return outputs.at("lse").value((b * p.H + h) * p.Sq + i);
}

}  // namespace

TEST_CASE("with one key, o is v bit for bit and lse is the score", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* text = GENERATE("gqa B=2 Sq=3 Sk=1 H=4 G=2 D=64 dtype=bf16",
                              "mha B=1 Sq=2 Sk=1 H=2 D=128 dtype=fp16",
                              "mqa B=1 Sq=1 Sk=1 H=3 D=192 Dv=128 dtype=bf16");
  CAPTURE(kernel, text);
  const Problem p = parse_problem(text);
  const TensorSet inputs = make_inputs(p, noise("q"), noise("k"), noise("v"));
  const TensorSet outputs = test::run(emulated(kernel), p, inputs);
  const auto want = test::expected(p, inputs);
  for (std::size_t n = 0; n < want.o.size(); ++n)
    REQUIRE(outputs.at("o").value(static_cast<Index>(n)) == want.o[n]);
  CHECK(test::errors(p, outputs, want).lse < 5);
}

TEST_CASE("equal scores give the mean of the visible v", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  CAPTURE(kernel);
  const Problem p = parse_problem("mha B=1 Sq=8 Sk=200 H=1 D=64 dtype=fp16 mask=causal");
  const auto ramp = [](Index, Index j, Index, Index d) { return static_cast<double>(j + d); };
  const TensorSet outputs =
      test::run(emulated(kernel), p, make_inputs(p, constant(0), noise("k"), ramp));
  for (Index i = 0; i < p.Sq; ++i) {
    const double keys = static_cast<double>(i + 193);
    CHECK(lse_at(p, outputs, 0, 0, i) == Approx(std::log(keys)).epsilon(1e-6));
    for (Index d = 0; d < p.Dv; ++d)
      REQUIRE(o_at(p, outputs, 0, i, 0, d) ==
              Approx((keys - 1) / 2 + static_cast<double>(d)).epsilon(0x1p-11));
  }
}

TEST_CASE("each query head reads the key and value head of its group", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  CAPTURE(kernel);
  const Problem p = parse_problem("gqa B=2 Sq=5 Sk=66 H=21 G=3 D=64 dtype=bf16");  // R = 7
  const auto head = [](Index b, Index, Index g, Index) { return static_cast<double>(10 * b + g); };
  // Head g's keys point along axis g, and query head h looks along axis h / 7: a wrong k head shows
  // in lse, a wrong v head in o.
  const auto axis = [](Index, Index, Index g, Index d) { return d == g ? 8.0 : 0.0; };
  const auto look = [](Index, Index, Index h, Index d) { return d == h / 7 ? 1.0 : 0.0; };
  const TensorSet outputs = test::run(emulated(kernel), p, make_inputs(p, look, axis, head));
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        CAPTURE(b, i, h);
        REQUIRE(o_at(p, outputs, b, i, h, 63) == static_cast<double>(10 * b + h / 7));
        REQUIRE(lse_at(p, outputs, b, h, i) == Approx(1 + std::log(66)).epsilon(1e-6));
      }
}

TEST_CASE("a query sees the keys of its mask and no others", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* text = GENERATE("mha B=1 Sq=70 Sk=70 H=1 D=64 dtype=fp16 mask=causal",
                              "mqa B=1 Sq=20 Sk=133 H=3 D=64 dtype=fp16 mask=causal",
                              "mqa B=1 Sq=20 Sk=133 H=3 D=64 dtype=fp16 mask=causal_top_left",
                              "mha B=1 Sq=129 Sk=80 H=1 D=64 dtype=fp16 mask=causal",
                              "mha B=1 Sq=129 Sk=80 H=1 D=64 dtype=fp16 mask=causal_top_left",
                              "mha B=1 Sq=100 Sk=30 H=1 D=64 dtype=fp16 mask=causal",
                              "mqa B=1 Sq=65 Sk=64 H=2 D=64 dtype=fp16 mask=causal",
                              "mha B=1 Sq=90 Sk=129 H=1 D=64 dtype=fp16");
  CAPTURE(kernel, text);
  const Problem p = parse_problem(text);
  // Equal scores: lse = log(number of visible keys), and o counts with v = [j < 64].
  const auto early = [](Index, Index j, Index, Index) { return j < 64 ? 1.0 : 0.0; };
  const TensorSet outputs =
      test::run(emulated(kernel), p, make_inputs(p, constant(0), constant(1), early));
  for (Index h = 0; h < p.H; ++h)
    for (Index i = 0; i < p.Sq; ++i) {
      const Index last = p.mask == Mask::none     ? p.Sk - 1
                         : p.mask == Mask::causal ? std::min(p.Sk - 1, i + p.Sk - p.Sq)
                                                  : std::min(p.Sk - 1, i);
      const double seen = static_cast<double>(std::max<Index>(0, last + 1));
      CAPTURE(h, i, seen);
      if (seen == 0) {
        REQUIRE(lse_at(p, outputs, 0, h, i) == -kInfinity);
        REQUIRE(o_at(p, outputs, 0, i, h, 0) == 0);
      } else {
        REQUIRE(lse_at(p, outputs, 0, h, i) == Approx(std::log(seen)).margin(1e-6));
        REQUIRE(o_at(p, outputs, 0, i, h, 63) ==
                Approx(std::min(64.0, seen) / seen).epsilon(0x1p-11));
      }
    }
}

TEST_CASE("without keys, o is zero and lse is minus infinity", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* text = GENERATE("gqa B=2 Sq=3 Sk=0 H=4 G=2 D=64 dtype=bf16",
                              "gqa B=1 Sq=17 Sk=0 H=4 G=2 D=72 Dv=40 dtype=fp16 mask=causal");
  const Index splits = GENERATE(0, 3);
  CAPTURE(kernel, text, splits);
  const Problem p = parse_problem(text);
  const TensorSet outputs = test::run(emulated(kernel), p, test::noise_inputs(p), splits);
  for (Index n = 0; n < outputs.at("o").size(); ++n) REQUIRE(outputs.at("o").value(n) == 0);
  for (Index n = 0; n < outputs.at("lse").size(); ++n)
    REQUIRE(outputs.at("lse").value(n) == -kInfinity);
}

TEST_CASE("scores far below zero do not vanish against the initial maximum", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  CAPTURE(kernel);
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=70 H=1 D=64 dtype=bf16");
  const TensorSet outputs =
      test::run(emulated(kernel), p, make_inputs(p, constant(-256), constant(32), constant(3)));
  const double score = -256.0 * 32 * 64 / 8;  // -65536
  CHECK(lse_at(p, outputs, 0, 0, 1) == Approx(score + std::log(70)).epsilon(1e-6));
  CHECK(o_at(p, outputs, 0, 1, 0, 5) == 3);
}

TEST_CASE("a later, higher score takes over the whole row", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const Index peak = GENERATE(0, 63, 64, 150, 199);
  CAPTURE(kernel, peak);
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=200 H=1 D=64 dtype=bf16");
  const auto spike = [peak](Index, Index j, Index, Index) { return j == peak ? 8.0 : 0.0; };
  const auto place = [](Index, Index j, Index, Index) { return static_cast<double>(j); };
  const TensorSet outputs =
      test::run(emulated(kernel), p, make_inputs(p, constant(1), spike, place), 2);
  CHECK(o_at(p, outputs, 0, 1, 0, 7) == Approx(static_cast<double>(peak)).margin(1e-20));
  CHECK(lse_at(p, outputs, 0, 0, 1) == Approx(64).epsilon(1e-6));
}
