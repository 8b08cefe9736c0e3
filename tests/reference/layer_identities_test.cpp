#include <string>

#include "cases/shard.h"
#include "reference/layer.h"
#include "tests/catch.h"
#include "tests/reference/layer_support.h"

using namespace attest;

namespace {

Problem in_fp64(const char* text) {
  Problem p = parse_problem(text);
  p.dtype = Dtype::fp64;
  return p;
}

double largest_difference(const Tensor& got, const Tensor& want) {
  REQUIRE(got.shape() == want.shape());
  double largest = 0;
  for (Index n = 0; n < want.size(); ++n) {
    const double error = std::fabs(got.value(n) - want.value(n));
    largest = error <= largest ? largest : error;  // NaN is larger than anything
  }
  return largest;
}

/// Tokens first .. first + count - 1 of x [B,S,...].
Tensor tokens(const Tensor& x, Index first, Index count) {
  std::vector<Index> shape = x.shape();
  const Index S = shape[1], width = x.size() / (shape[0] * S);
  shape[1] = count;
  Tensor part(x.name(), Dtype::fp64, x.layout(), shape);
  for (Index b = 0; b < shape[0]; ++b)
    for (Index n = 0; n < count * width; ++n)
      layers::put(part, b * count * width + n, x.value((b * S + first) * width + n));
  return part;
}

/// The same layer, called for tokens first .. first + count - 1 of its Sq.
Problem part_of(const Problem& p, Index first, Index count) {
  Problem part = p;
  part.Sq = count;
  part.lens.clear();
  for (Index b = 0; b < p.B; ++b) part.lens.push_back(cached_tokens(p, b) + first + count);
  if (std::ranges::all_of(part.lens, [&](Index n) { return n == p.Sk; })) part.lens.clear();
  validate(part);
  return part;
}

/// Calls a layer for a part of its tokens, whose rows go into the caches, and compares what it
/// leaves with the same tokens of `whole`.
void check_part(const Problem& p, Index first, Index count, TensorSet& inputs, const Truth& whole) {
  const Problem part = part_of(p, first, count);
  TensorSet in;
  for (const Tensor& tensor : inputs)
    in.add(tensor.name() == "x" ? tokens(tensor, first, count) : tensor);
  const Truth truth = reference::layer(part, in);
  for (const Tensor& output : truth.outputs) {
    if (output.name() == "lse") continue;
    CAPTURE(first, output.name());
    CHECK(largest_difference(output, tokens(whole.outputs.at(output.name()), first, count)) <
          1e-12);
    if (naive::is_cache(output.name()))
      layers::put_rows(
          part, inputs, output, [&](Index b) { return cached_tokens(part, b); },
          inputs.at(output.name()));
  }
}

}  // namespace

TEST_CASE("absorbed is expanded to 1e-12, lse too") {
  const std::string
      latent = GENERATE("", " Lq=18"),
      rope = GENERATE(
          "", " rope=default:pairing:interleaved",
          " rope=yarn:theta:100,factor:8,orig:16,pairing:deinterleave,mscale_all_dim:1",
          " rope=yarn:theta:100,factor:8,orig:16,pairing:deinterleave,mscale_all_dim:0.707");
  const std::string text =
      "mla B=2 Sq=3 Sk=11 H=4 D=14 Dv=10 dtype=fp64 level=layer E=20 L=24 Dr=6 lens=8,11 "
      "mask=causal";
  Problem p = parse_problem(text + latent + rope);
  CAPTURE(print(p));
  const TensorSet inputs = layers::inputs(p);
  const Truth expanded = reference::layer(p, inputs);
  p.form = Form::absorbed;
  const Truth absorbed = reference::layer(p, inputs);
  for (const char* name : {"y", "o", "lse", "latent_cache"}) {
    CAPTURE(name);
    CHECK(largest_difference(absorbed.outputs.at(name), expanded.outputs.at(name)) < 1e-12);
  }
}

TEST_CASE("a prefill is a shorter prefill and single steps") {
  for (const char* text : layers::kLayers) {
    Problem p = in_fp64(text);
    p.mask = Mask::causal;
    CAPTURE(print(p));
    TensorSet inputs = layers::inputs(p);
    const Truth whole = reference::layer(p, inputs);
    for (const Index steps : {1, 2}) {
      inputs = layers::inputs(p);
      if (p.Sq > steps) check_part(p, 0, p.Sq - steps, inputs, whole);
      for (Index i = std::max<Index>(0, p.Sq - steps); i < p.Sq; ++i)
        check_part(p, i, 1, inputs, whole);
    }
  }
}

TEST_CASE("the outputs of all ranks add up to that of the layer") {
  const std::string text = GENERATE(
      "gqa B=2 Sq=3 Sk=11 H=8 G=4 D=6 dtype=fp64 level=layer E=20 norm=rms bias=all gate=1 "
      "rope=default lens=11,7 page=4 mask=causal",
      "gqa B=1 Sq=2 Sk=5 H=16 G=2 D=6 dtype=fp64 level=layer E=20 bias=qkv norm=layer",
      "mha B=1 Sq=3 Sk=7 H=8 D=6 dtype=fp64 level=layer E=20 bias=all gate=1 rope=default",
      "mqa B=2 Sq=3 Sk=7 H=8 D=6 dtype=fp64 level=layer E=20 bias=all norm=l2 mask=causal",
      "mla B=2 Sq=3 Sk=11 H=8 D=14 Dv=10 dtype=fp64 level=layer E=20 L=24 Lq=18 Dr=6 page=4 "
      "rope=default lens=8,11 mask=causal",
      "mla B=2 Sq=3 Sk=11 H=8 D=14 Dv=10 dtype=fp64 level=layer E=20 L=24 form=absorbed Dr=6");
  const Index tp = GENERATE(1, 2, 4, 8);
  Problem p = parse_problem(text);
  p.layer.tp = tp;
  validate(p);
  CAPTURE(print(p));
  const TensorSet inputs = layers::inputs(p);
  const Truth whole = reference::layer(p, inputs);
  Tensor sum("y", Dtype::fp64, "BSE", {p.B, p.Sq, p.layer.E});
  std::ranges::fill(sum.as<double>(), 0.0);
  for (Index rank = 0; rank < tp; ++rank) {
    const Problem shard = shard_of(p, rank);
    validate(shard);
    const TensorSet mine = shard_inputs(p, rank, inputs);
    for (const TensorSpec& spec : layer_weights(shard))
      CHECK(mine.at(spec.name).shape() == spec.shape);
    for (const TensorSpec& spec : layer_caches(shard))
      CHECK(mine.at(spec.name).shape() == spec.shape);
    const Truth part = reference::layer(shard, mine);
    for (Index n = 0; n < sum.size(); ++n)
      sum.as<double>()[std::size_t(n)] += part.outputs.at("y").value(n);
  }
  CHECK(largest_difference(sum, whole.outputs.at("y")) < 1e-12);
}
