#include "reference/layer.h"

#include <omp.h>

#include <string>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/layer_support.h"

using namespace attest;
using naive::Array;
using naive::Arrays;
using naive::Real;

namespace {

/// Largest |got - want| over `scale`; where that is 0 both must be equal.
double worst(const Tensor& got, const Array& want, const Array& scale) {
  REQUIRE(got.size() == Index(want.x.size()));
  Real largest = 0;
  for (std::size_t n = 0; n < want.x.size(); ++n) {
    const Real error = std::fabs(got.value(Index(n)) - want.x[n]);
    if (error == 0) continue;
    largest = error <= largest * scale.x[n] ? largest : error / scale.x[n];  // NaN, too
  }
  return double(largest);
}

void check_stage(const Truth& got, naive::Results& want, const Stage& stage) {
  for (const TensorSpec& spec : stage.outputs) {
    CAPTURE(stage.name, spec.name);
    const Array& magnitude = want.magnitude.at(spec.name);
    const Tensor& y = got.outputs.at(spec.name);
    CHECK(y.dtype() == Dtype::fp64);
    CHECK(y.shape() == magnitude.shape);
    if (stage.kind == StageKind::attention) {
      const bool is_lse = spec.name == "lse";
      Array one = want.y.at(spec.name);
      std::ranges::fill(one.x, Real(10));
      CHECK(worst(y, want.y.at(spec.name), is_lse ? one : want.y.at("abs_mag")) < 1e-14);
      continue;
    }
    CHECK(worst(y, want.y.at(spec.name), magnitude) < 1e-14);
    CHECK(got.conditioning.at(spec.name).shape() == magnitude.shape);
    CHECK(worst(got.conditioning.at(spec.name), magnitude, magnitude) < 1e-14);
  }
}

}  // namespace

TEST_CASE("every stage of a layer is that of its formula, from what was stored before it") {
  for (const char* text : layers::kLayers) {
    CAPTURE(text);
    const Problem p = parse_problem(text);
    const TensorSet inputs = layers::inputs(p);
    TensorSet left;
    for (const Stage& stage : stages(p)) {
      const Truth truth = reference::layer_stage(p, stage, inputs, left);
      Arrays in = naive::arrays(p, inputs, inputs.find("block_table"), p.Sq);
      for (auto& [name, rows] : naive::arrays(p, left, inputs.find("block_table"), 0))
        in[name] = rows;  // of caches with the new ones
      naive::Results want = naive::stage(p, stage, in);
      check_stage(truth, want, stage);
      for (const Tensor& output : truth.outputs) left.add(layers::stored(p, inputs, output));
    }
    CHECK(left.size() == layer_outputs(p).size());
  }
}

TEST_CASE("a whole layer is its stages one after another, nothing rounded") {
  for (const char* text : layers::kLayers) {
    CAPTURE(text);
    const Problem p = parse_problem(text);
    const TensorSet inputs = layers::inputs(p);
    const Truth truth = reference::layer(p, inputs);
    Arrays want = naive::layer(p, inputs);
    for (const Tensor& output : truth.outputs) {
      CAPTURE(output.name());
      const bool cache = naive::is_cache(output.name());
      const Array& values = want[cache ? "new " + output.name() : output.name()];
      CHECK(output.shape() == values.shape);
      Array scale = values;
      std::ranges::fill(scale.x, Real(10));
      CHECK(worst(output, values, scale) < 1e-14);
    }
    const std::size_t caches = p.variant == Variant::mla ? 1 : 2;
    const std::size_t latents = p.form == Form::absorbed ? 1 : 0;  // u
    CHECK(truth.outputs.size() == 4 + caches + latents);           // q_rot, o, lse, y
    CHECK(worst(truth.conditioning.at("abs_mag"), want["abs_mag"], want["abs_mag"]) < 1e-13);
    CHECK(truth.conditioning.find("mean_a"));
  }
}

TEST_CASE("what is neither normed nor turned has magnitude 0 and keeps its bits") {
  const Problem p = parse_problem(layers::kLayers[1]);  // 4 of 6 values turn, no norm
  const TensorSet inputs = layers::inputs(p);
  TensorSet left;
  const Stage qkv = stages(p)[0], rope_append = stages(p)[1];
  left.add(
      layers::stored(p, inputs, reference::layer_stage(p, qkv, inputs, left).outputs.at("qkv")));
  const Truth truth = reference::layer_stage(p, rope_append, inputs, left);
  const Tensor &q = truth.conditioning.at("q_rot"), &v = truth.conditioning.at("v_cache");
  for (Index n = 0; n < q.size(); ++n) CHECK((q.value(n) == 0) == (n % p.D >= 4));
  for (Index n = 0; n < v.size(); ++n) CHECK(v.value(n) == 0);
  Array row(left.at("qkv"));  // base of group 3: 3 (R + 2) D with R = 2; v behind two q and k
  for (Index d = 0; d < p.D; ++d)
    CHECK(truth.outputs.at("v_cache").value(3 * p.D + d) == row(0, 0, 3 * 4 * 6 + 3 * 6 + d));
}

TEST_CASE("a layer has the same bits for any number of threads") {
  const int before = omp_get_max_threads();
  for (const char* text : layers::kLayers) {
    CAPTURE(text);
    const Problem p = parse_problem(text);
    const TensorSet inputs = layers::inputs(p);
    omp_set_num_threads(1);
    const Truth one = reference::layer(p, inputs);
    omp_set_num_threads(3);
    const Truth three = reference::layer(p, inputs);
    CHECK(std::ranges::equal(one.outputs.at("y").bytes(), three.outputs.at("y").bytes()));
    CHECK(std::ranges::equal(one.conditioning.at("abs_mag").bytes(),
                             three.conditioning.at("abs_mag").bytes()));
  }
  omp_set_num_threads(before);
}

TEST_CASE("a layer refuses what is not finite or does not fit, by name") {
  const auto refusal = [](const Problem& p, const TensorSet& inputs) {
    try {
      reference::layer(p, inputs);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  Problem p = parse_problem(layers::kLayers[0]);
  TensorSet inputs = layers::inputs(p);
  layers::put(inputs.at("x"), 7, NAN);
  CHECK(refusal(p, inputs) ==
        "reference: tensors of a layer must be finite, got an infinity or NaN in x");
  inputs = layers::inputs(p);
  layers::put(inputs.at("w_o"), 7, INFINITY);
  CHECK(refusal(p, inputs) == "reference: weights must be finite, got an infinity or NaN in w_o");
  p.layer.E = 21;
  CHECK_THAT(refusal(p, inputs), Catch::StartsWith("reference: x does not fit the layer"));
}
