// Prefill of S tokens against prefill of S - k and k decode steps, on the emulated kernels.
#include <cmath>
#include <cstring>

#include "cases/stages.h"
#include "cuda/kernel.h"
#include "harness/layer_inputs.h"
#include "harness/tolerance.h"
#include "reference/layer.h"
#include "tests/catch.h"

using namespace attest;

namespace {

constexpr Index kSteps = 3;

/// Tokens first .. first + count - 1 of a layer that has seen those before them: every batch entry
/// has first + count keys in a cache of as many slots as the whole needs.
Problem part_of(const Problem& whole, Index first, Index count) {
  Problem part = whole;
  part.Sq = count;
  if (first + count < whole.Sk) part.lens.assign(static_cast<std::size_t>(whole.B), first + count);
  return part;
}

/// The weights and tokens of a part, and the caches that `left` (of the part before it) holds.
TensorSet inputs_of(const Problem& part, const TensorSet& whole, Index first,
                    const TensorSet* left) {
  TensorSet inputs;
  for (const TensorSpec& spec : layer_weights(part)) {
    Tensor& tensor = inputs.add(make_tensor(spec));
    const Tensor& from = whole.at(spec.name);
    if (spec.name != "x") {
      std::memcpy(tensor.bytes().data(), from.bytes().data(), tensor.bytes().size());
      continue;
    }
    const std::size_t row = static_cast<std::size_t>(part.layer.E) * size_of(spec.dtype);
    for (Index b = 0; b < part.B; ++b)
      std::memcpy(tensor.bytes().data() + static_cast<std::size_t>(b * part.Sq) * row,
                  from.bytes().data() + static_cast<std::size_t>(b * from.shape()[1] + first) * row,
                  static_cast<std::size_t>(part.Sq) * row);
  }
  for (const TensorSpec& spec : layer_caches(part)) {
    Tensor& tensor = inputs.add(make_tensor(spec));
    const Tensor& from =
        left && spec.name != "block_table" ? left->at(spec.name) : whole.at(spec.name);
    std::memcpy(tensor.bytes().data(), from.bytes().data(), tensor.bytes().size());
  }
  if (!part.lens.empty()) {
    Tensor& lens = inputs.add(Tensor("seqlens_k", Dtype::int32, "B", {part.B}));
    std::fill_n(lens.as<std::int32_t>().begin(), part.B, static_cast<std::int32_t>(part.lens[0]));
  }
  return inputs;
}

struct Ran {
  TensorSet outputs;
  std::vector<double> bound;  ///< hard bound of what attention left
};

Ran run(const Problem& p, const TensorSet& inputs) {
  const Kernel& kernel = find_kernel("layer", Backend::emu);
  REQUIRE(kernel.supports(p) == "");
  Ran ran{.outputs = empty_layer_outputs(p, inputs), .bound = {}};
  kernel.run(p, {}, inputs, ran.outputs);
  for (const Stage& stage : stages(p)) {
    if (stage.kind != StageKind::attention) continue;
    const Truth truth = reference::layer_stage(p, stage, inputs, ran.outputs);
    TensorSet named;
    for (const Tensor& each : truth.outputs) {
      Tensor& copy = named.add(
          Tensor(each.name() == "lse" ? "lse" : "o", each.dtype(), each.layout(), each.shape()));
      std::memcpy(copy.bytes().data(), each.bytes().data(), copy.bytes().size());
    }
    ran.bound = derive_bounds(core_of(p), {.outputs = named, .conditioning = truth.conditioning},
                              kernel.descriptor(p, kernel.splits(p, 0)))
                    .hard_bound;
  }
  return ran;
}

std::string attended(const Problem& p) {
  return p.variant == Variant::mla && p.form == Form::absorbed ? "u" : "o";
}

/// Rows of `part` against those of `whole` from token `first` on.
void check_rows(const Problem& p, const Ran& whole, const Ran& part, Index first, Index count) {
  const Tensor &q = whole.outputs.at("q_rot"), &q_part = part.outputs.at("q_rot");
  const Tensor &o = whole.outputs.at(attended(p)), &o_part = part.outputs.at(attended(p));
  const Index q_row = p.H * q.shape()[3], o_row = p.H * o.shape()[3];
  bool same_q = true, near_o = true;
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < count; ++i) {
      const Index at = b * p.Sq + first + i, at_part = b * count + i;
      for (Index n = 0; n < q_row; ++n)
        same_q = same_q && q.value(at * q_row + n) == q_part.value(at_part * q_row + n);
      for (Index n = 0; n < o_row; ++n)
        near_o = near_o && std::fabs(o.value(at * o_row + n) - o_part.value(at_part * o_row + n)) <=
                               whole.bound[static_cast<std::size_t>(at * o_row + n)] +
                                   part.bound[static_cast<std::size_t>(at_part * o_row + n)];
    }
  CAPTURE(first, count);
  CHECK(same_q);
  CHECK(near_o);
}

}  // namespace

TEST_CASE("prefill of S tokens equals prefill of S - k and k decode steps, cache bytes included") {
  for (const char* text :
       {"gqa B=2 Sq=21 Sk=21 H=8 G=2 D=24 dtype=bf16 level=layer E=72 norm=rms bias=qkv gate=1 "
        "rope=llama3:theta:500000,factor:8,orig:8192 mask=causal",
        "mqa B=2 Sq=40 Sk=40 H=4 D=64 dtype=fp16 level=layer E=40 rope=default page=8 mask=causal",
        "mla B=2 Sq=21 Sk=21 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 Dr=8 "
        "rope=yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1 page=16 mask=causal",
        "mla B=2 Sq=21 Sk=21 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 form=absorbed Dr=8 "
        "rope=yarn:factor:40,orig:4096 mask=causal"}) {
    CAPTURE(text);
    const Problem p = parse_problem(text);
    const TensorSet inputs = make_layer_inputs(p);
    const Ran whole = run(p, inputs);

    const Problem chunk = part_of(p, 0, p.Sq - kSteps);
    Ran last = run(chunk, inputs_of(chunk, inputs, 0, nullptr));
    check_rows(p, whole, last, 0, chunk.Sq);
    for (Index first = chunk.Sq; first < p.Sq; ++first) {
      const Problem step = part_of(p, first, 1);
      last = run(step, inputs_of(step, inputs, first, &last.outputs));
      check_rows(p, whole, last, first, 1);
    }
    for (const TensorSpec& cache : layer_caches(p))
      if (cache.name != "block_table")
        CHECK(whole.outputs.at(cache.name).sha256() == last.outputs.at(cache.name).sha256());
  }
}

TEST_CASE("prefill in chunks leaves the cache bytes of prefill in one") {
  const Problem p = parse_problem(
      "gqa B=1 Sq=70 Sk=70 H=4 G=2 D=64 dtype=bf16 level=layer E=72 rope=default page=8 "
      "mask=causal");
  const TensorSet inputs = make_layer_inputs(p);
  const Ran whole = run(p, inputs);
  Ran last;
  for (const Index first : {0, 33, 65}) {
    const Problem chunk = part_of(p, first, first == 0 ? 33 : first == 33 ? 32 : 5);
    last = run(chunk, inputs_of(chunk, inputs, first, first > 0 ? &last.outputs : nullptr));
    check_rows(p, whole, last, first, chunk.Sq);
  }
  for (const char* cache : {"k_cache", "v_cache"})
    CHECK(whole.outputs.at(cache).sha256() == last.outputs.at(cache).sha256());
}
