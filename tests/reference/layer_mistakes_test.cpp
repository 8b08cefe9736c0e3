#include <cmath>

#include "reference/layer.h"
#include "tests/catch.h"
#include "tests/reference/layer_support.h"

using namespace attest;
using naive::Array;
using naive::Mistakes;

namespace {

/// How far y moves, over its magnitude, at the element that moves most; in unit roundoffs of bf16.
double movement(const Problem& p, const Mistakes& wrong) {
  const TensorSet inputs = layers::inputs(p);
  const Truth truth = reference::layer(p, inputs);
  const Tensor &y = truth.outputs.at("y"), &magnitude = truth.conditioning.at("y");
  const Array other = naive::layer(p, inputs, wrong).at("y");
  double largest = 0;
  for (Index n = 0; n < y.size(); ++n)
    largest = std::fmax(
        largest, std::fabs(y.value(n) - double(other.x[std::size_t(n)])) / magnitude.value(n));
  return largest / unit_roundoff(Dtype::bf16);
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
  double gqa, expanded, absorbed;  ///< roundings that y moves by at least; 0: not one of it
};

const double kM = 1 + 0.1 * std::log(40.0);

}  // namespace

TEST_CASE("mistakes of a layer move y by several roundings of all its terms") {
  // Measured: 55 44 13, 14 20 5.3, 10 64 17, - 31 8.7, - 46 13.
  const Mistake mistakes[] = {
      {"q turns in other pairs than k", {.pairing_of_q = true}, 40, 30, 10},
      {"keys or latents are cached before their norm", {.cache_before_norm = true}, 10, 15, 4},
      {"cached keys turn twice", {.turn_key_twice = true}, 8, 45, 12},
      {"the scale is of L + Dr, not Dn + Dr", {.scale = std::sqrt(14.0L / 30)}, 0, 20, 6},
      {"the scale lacks YaRN's square", {.scale = 1 / (kM * kM)}, 0, 35, 10},
  };
  for (const auto& [name, wrong, gqa, expanded, absorbed] : mistakes) {
    CAPTURE(name);
    if (gqa > 0) CHECK(movement(parse_problem(kGqa), wrong) > gqa);
    CHECK(movement(parse_problem(kExpanded), wrong) > expanded);
    CHECK(movement(parse_problem(kAbsorbed), wrong) > absorbed);
  }
}

TEST_CASE("a layer without a mistake does not move at all") {
  for (const char* text : {kGqa, kExpanded, kAbsorbed})
    CHECK(movement(parse_problem(text), {}) < 1e-10);
}
