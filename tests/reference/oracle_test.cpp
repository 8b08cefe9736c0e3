#include <algorithm>
#include <cmath>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using naive::Real;
using reference::Emit;

namespace {

const char* const kShapes[] = {
    "mha B=1 Sq=1 Sk=1 H=1 D=1 dtype=fp64",
    "mha B=2 Sq=5 Sk=7 H=3 D=8 dtype=fp64",
    "mha B=1 Sq=6 Sk=9 H=2 D=24 Dv=16 dtype=fp64",
    "mha B=1 Sq=6 Sk=9 H=2 D=5 Dv=31 dtype=fp64 mask=causal",
    "gqa B=2 Sq=9 Sk=4 H=6 G=2 D=16 Dv=3 dtype=fp64 mask=causal",
    "gqa B=1 Sq=70 Sk=90 H=4 G=2 D=13 Dv=5 dtype=fp64 mask=causal",
    "gqa B=2 Sq=67 Sk=33 H=2 G=1 D=8 Dv=9 dtype=fp64 mask=causal_top_left",
    "gqa B=1 Sq=3 Sk=20 H=6 G=3 D=7 Dv=2 dtype=fp64 mask=causal_top_left",
    "mqa B=3 Sq=2 Sk=65 H=4 D=32 Dv=64 dtype=fp64",
    "mqa B=1 Sq=130 Sk=129 H=2 D=4 dtype=fp64 mask=causal",
    "mha B=1 Sq=1 Sk=500 H=2 D=64 dtype=fp64",
    "gqa B=3 Sq=5 Sk=13 H=4 G=2 D=8 Dv=6 dtype=fp64 lens=13,0,3 mask=causal",
    "mha B=2 Sq=70 Sk=90 H=2 D=8 Dv=6 dtype=fp64 lens=1,66 mask=causal",
    "mqa B=3 Sq=4 Sk=21 H=3 D=8 dtype=fp64 lens=2,21,9 mask=causal_top_left",
    "gqa B=4 Sq=3 Sk=80 H=6 G=3 D=7 dtype=fp64 lens=0,80,1,65",
    "gqa B=1 Sq=70 Sk=90 H=4 G=2 D=8 dtype=fp64 mask=causal window=20,-1",
    "mha B=2 Sq=9 Sk=80 H=2 D=8 dtype=fp64 window=3,5 lens=80,4 softcap=2",
    "mqa B=1 Sq=80 Sk=9 H=3 D=8 dtype=fp64 mask=causal_top_left window=4,-1 sink=one",
    "gqa B=2 Sq=5 Sk=70 H=4 G=2 D=8 dtype=fp64 mask=causal alibi=1 scale=0.7",
    "mha B=2 Sq=5 Sk=17 H=3 D=8 dtype=fp64 mask=causal_top_left alibi=1 sink=learned",
    "mha B=2 Sq=5 Sk=17 H=3 D=8 dtype=fp64 attn_bias=full sink=learned",
    "gqa B=2 Sq=5 Sk=17 H=4 G=2 D=8 dtype=fp64 attn_bias=head attn_mask=batch lens=17,6",
    "mqa B=2 Sq=66 Sk=70 H=3 D=8 dtype=fp64 mask=causal attn_mask=full window=30,-1",
    "gqa B=2 Sq=4 Sk=70 H=6 G=3 D=8 dtype=fp64 softcap=0.5 attn_bias=shared attn_mask=head "
    "sink=one",
};

/// What rounding errors of `name` are measured against, element by element.
std::vector<Real> scale_of(const std::string& name, const naive::Values& want) {
  std::vector<Real> scale = want.at(name);
  for (Real& value : scale) value = std::isinf(value) ? 0 : std::fabs(value);
  const auto add = [&](const char* other) {
    for (std::size_t n = 0; n < scale.size(); ++n) scale[n] += want.at(other)[n];
  };
  if (name == "o") return want.at("abs_mag");
  if (name == "abs_mag_gap") add("abs_mag_a");  // m - s cancels
  if (name == "lse" || name == "row_max" || name == "mean_gap" || name == "max_gap") add("max_a");
  return scale;
}

/// Largest error over its scale.
Real worst(const Tensor& got, const naive::Values& want) {
  const std::vector<Real>& values = want.at(got.name());
  const std::vector<Real> scale = scale_of(got.name(), want);
  REQUIRE(std::size_t(got.size()) == values.size());
  Real largest = 0;
  for (std::size_t n = 0; n < values.size(); ++n) {
    const Real value = got.value(Index(n));
    if (value == values[n]) continue;  // infinities and zeros too
    const Real error = std::fabs(value - values[n]) / scale[n];
    largest = error <= largest ? largest : error;  // NaN is larger than anything
  }
  return largest;
}

}  // namespace

TEST_CASE("outputs are those of the definition to 1e-13 of abs_mag") {
  for (const char* text : kShapes) {
    const Problem p = parse_problem(text);
    const TensorSet in = naive::random_inputs(p, 17);
    const naive::Values want = naive::attend(p, in);
    for (const Tensor& got : reference::attend(p, in, Emit::outputs).outputs) {
      CAPTURE(text, got.name());
      CHECK(worst(got, want) <= 1e-13L);
    }
  }
}

TEST_CASE("conditioning is that of the definition to 1e-13") {
  for (const char* text : kShapes) {
    const Problem p = parse_problem(text);
    const TensorSet in = naive::random_inputs(p, 23);
    const naive::Values want = naive::attend(p, in);
    const Truth truth = reference::attend(p, in, Emit::outputs_and_conditioning);
    CHECK(truth.conditioning.size() + truth.outputs.size() == want.size());
    for (const Tensor& got : truth.conditioning) {
      CAPTURE(text, got.name());
      CHECK(worst(got, want) <= 1e-13L);
    }
  }
}

TEST_CASE("scores in the thousands are as good as their bound a allows") {
  // The error of a score is a few units of 2^-53 times a, and the output passes it on.
  const Problem p = parse_problem("gqa B=1 Sq=8 Sk=40 H=4 G=2 D=16 Dv=8 dtype=fp64 mask=causal");
  TensorSet in = naive::random_inputs(p, 31);
  for (double& value : in.at("q").as<double>()) value *= 4000;
  const naive::Values want = naive::attend(p, in);
  REQUIRE(*std::ranges::max_element(want.at("max_a")) > 1e4);
  const Truth got = reference::attend(p, in, Emit::outputs);
  for (std::size_t n = 0; n < want.at("o").size(); ++n) {
    const Real scale = want.at("abs_mag")[n] + want.at("abs_mag_a")[n];
    CHECK(std::fabs(got.outputs.at("o").value(Index(n)) - want.at("o")[n]) <= 1e-14L * scale);
  }
  CHECK(worst(got.outputs.at("lse"), want) <= 1e-13L);
}

TEST_CASE("conditioning is computed only when it is asked for") {
  const Problem p = parse_problem("mqa B=2 Sq=66 Sk=70 H=3 D=8 dtype=fp64 mask=causal");
  const TensorSet in = naive::random_inputs(p);
  const Truth without = reference::attend(p, in, Emit::outputs);
  const Truth with = reference::attend(p, in, Emit::outputs_and_conditioning);
  CHECK(without.conditioning.size() == 0);
  CHECK(with.conditioning.size() == 13);
  for (const Tensor& tensor : without.outputs)
    CHECK(std::ranges::equal(tensor.bytes(), with.outputs.at(tensor.name()).bytes()));
}

TEST_CASE("outputs and conditioning have the layouts and shapes that Truth names") {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=4 H=6 G=2 D=5 Dv=7 dtype=fp64");
  const Truth t = reference::attend(p, naive::random_inputs(p), Emit::outputs_and_conditioning);
  const auto check = [](const Tensor& tensor, const char* layout, std::vector<Index> shape) {
    CAPTURE(tensor.name());
    CHECK(tensor.dtype() == Dtype::fp64);
    CHECK(tensor.layout() == layout);
    CHECK(tensor.shape() == shape);
    CHECK(tensor.canary_intact());
  };
  check(t.outputs.at("o"), "BSHD", {2, 3, 6, 7});
  check(t.outputs.at("lse"), "BHS", {2, 6, 3});
  for (const char* name : {"abs_mag", "abs_mag_a", "abs_mag_gap", "second_moment", "visible_abs_v"})
    check(t.conditioning.at(name), "BSHD", {2, 3, 6, 7});
  for (const char* name :
       {"row_max", "row_sum", "mean_a", "mean_gap", "max_a", "max_gap", "max_raises"})
    check(t.conditioning.at(name), "BHS", {2, 6, 3});
}
