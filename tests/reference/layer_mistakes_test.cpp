#include <cmath>

#include "reference/layer.h"
#include "tests/catch.h"
#include "tests/reference/layer_support.h"

using namespace attest;
using naive::Array;
using naive::Mistakes;

namespace {

/// How far y moves, over its rms, at the element that moves most; in unit roundoffs of bf16.
double movement(const Problem& p, const Mistakes& wrong) {
  const TensorSet inputs = layers::inputs(p);
  const Truth truth = reference::layer(p, inputs);
  const Tensor& y = truth.outputs.at("y");
  const Array other = naive::layer(p, inputs, wrong).at("y");
  double largest = 0, squares = 0;
  for (Index n = 0; n < y.size(); ++n) {
    largest = std::fmax(largest, std::fabs(y.value(n) - double(other.x[std::size_t(n)])));
    squares += y.value(n) * y.value(n);
  }
  return largest / std::sqrt(squares / static_cast<double>(y.size())) / unit_roundoff(Dtype::bf16);
}

const char* const kGqa =
    "gqa B=1 Sq=3 Sk=19 H=6 G=2 D=8 dtype=bf16 level=layer E=20 norm=rms rope=default mask=causal";
const char* const kExpanded =
    "mla B=1 Sq=3 Sk=19 H=4 D=14 Dv=10 dtype=bf16 level=layer E=20 L=24 Lq=18 Dr=6 "
    "rope=yarn:theta:100,factor:40,orig:16,mscale_all_dim:1 mask=causal";
const char* const kAbsorbed =
    "mla B=1 Sq=3 Sk=19 H=4 D=14 Dv=10 dtype=bf16 level=layer E=20 L=24 Lq=18 form=absorbed Dr=6 "
    "rope=yarn:theta:100,factor:40,orig:16,mscale_all_dim:1 mask=causal";

struct Mistake {
  const char* name;
  Mistakes wrong;
  double gqa, mla;  ///< roundings that y moves by at least; 0: not one of it
};

const double kM = 1 + 0.1 * std::log(40.0);

}  // namespace

TEST_CASE("mistakes of a layer move y by many of its roundings") {
  // Measured: 665 375, 202 156, 140 483, - 225, - 339; absorbed as expanded.
  const Mistake mistakes[] = {
      {"q turns in other pairs than k", {.pairing_of_q = true}, 400, 250},
      {"keys or latents are cached before their norm", {.cache_before_norm = true}, 120, 100},
      {"cached keys turn twice", {.turn_key_twice = true}, 90, 300},
      {"the scale is of L + Dr, not Dn + Dr", {.scale = std::sqrt(14.0L / 30)}, 0, 150},
      {"the scale lacks YaRN's square", {.scale = 1 / (kM * kM)}, 0, 200},
  };
  for (const auto& [name, wrong, gqa, mla] : mistakes) {
    CAPTURE(name);
    if (gqa > 0) CHECK(movement(parse_problem(kGqa), wrong) > gqa);
    CHECK(movement(parse_problem(kExpanded), wrong) > mla);
    CHECK(movement(parse_problem(kAbsorbed), wrong) > mla);
  }
}

TEST_CASE("a layer without a mistake does not move at all") {
  for (const char* text : {kGqa, kExpanded, kAbsorbed})
    CHECK(movement(parse_problem(text), {}) < 1e-10);
}
