#include <algorithm>
#include <string>
#include <vector>

#include "cases/error.h"
#include "cases/stages.h"
#include "cuda/kernel.h"
#include "tests/catch.h"
#include "tests/cuda/naive_stages.h"

// Whole layers: every stage against loops in double, from the bits that the stage before it left.

using namespace attest;

namespace {

const Kernel& layer(Backend backend = Backend::emu) { return find_kernel("layer", backend); }

struct Running {
  Problem p;
  TensorSet inputs = test::layer_inputs(p), outputs = test::layer_outputs_before(p, inputs);

  explicit Running(const std::string& problem) : p(parse_problem(problem)) {}
  void run(Backend backend = Backend::emu, Schedule schedule = 0) {
    RunConfig config;
    config.schedule = schedule;
    layer(backend).run(p, config, inputs, outputs);
  }
  test::LayerRun naive() const { return {p, inputs, outputs}; }
};

const std::string kProblems[] = {
    "gqa B=2 Sq=3 Sk=65 H=8 G=2 D=16 dtype=bf16 level=layer E=72 norm=rms bias=all gate=1 "
    "rope=default mask=causal",
    "gqa B=2 Sq=3 Sk=65 H=8 G=2 D=16 dtype=fp16 level=layer E=72 norm=layer bias=qkv gate=1 "
    "rope=llama3:theta:500000,factor:8,orig:32 lens=65,7 page=8 mask=causal",
    "mha B=1 Sq=20 Sk=33 H=3 D=72 dtype=bf16 level=layer E=40 norm=l2 rope=default:dim:24 "
    "page=16 mask=causal",
    "mqa B=3 Sq=1 Sk=40 H=5 D=24 dtype=fp16 level=layer E=136 norm=rms_zero_centered bias=all "
    "rope=default:pairing:interleaved lens=1,40,17",
    "mla B=2 Sq=3 Sk=65 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 Dr=8 rope=default "
    "mask=causal",
    "mla B=2 Sq=20 Sk=33 H=3 D=40 Dv=24 dtype=fp16 level=layer E=64 L=72 Dr=16 "
    "rope=yarn:factor:40,orig:4096,mscale_all_dim:0.707,pairing:deinterleave lens=33,21 page=12 "
    "mask=causal",
    "mla B=2 Sq=3 Sk=65 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 form=absorbed Dr=8 "
    "rope=default:pairing:interleaved mask=causal",
    "mla B=3 Sq=2 Sk=50 H=5 D=40 Dv=24 dtype=fp16 level=layer E=64 L=136 form=absorbed Dr=16 "
    "rope=yarn:factor:40,orig:4096,mscale_all_dim:1 lens=50,2,33 page=16 mask=causal",
};

std::string refusal(const Running& which) {
  TensorSet outputs = test::layer_outputs_before(which.p, which.inputs);
  try {
    layer().run(which.p, {}, which.inputs, outputs);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void check_stages(const Running& which) {
  for (const Stage& stage : stages(which.p)) {
    CAPTURE(stage.name);
    CHECK(test::worst_of_stage(which.naive(), stage.name) <= 1);
  }
  for (const Tensor& tensor : which.outputs) CHECK(tensor.canary_intact());
}

/// The new tokens of `all` one at a time: their rows of x, and the cache as the last one left it.
TensorSet step_by_step(const Running& all) {
  Problem step = all.p;
  step.Sq = 1;
  TensorSet cache;
  for (Index i = 0; i < all.p.Sq; ++i) {
    step.lens.clear();  // of the last step: all Sk
    if (i + 1 < all.p.Sq)
      for (Index b = 0; b < all.p.B; ++b) step.lens.push_back(all.p.position(b, i) + 1);
    Running one(print(step));
    for (Index b = 0; b < all.p.B; ++b)
      for (Index e = 0; e < all.p.layer.E; ++e)
        one.inputs.at("x").as<std::uint16_t>()[static_cast<std::size_t>(b * all.p.layer.E + e)] =
            all.inputs.at("x").as<std::uint16_t>()[static_cast<std::size_t>(
                (b * all.p.Sq + i) * all.p.layer.E + e)];
    for (const TensorSpec& spec : layer_caches(step)) {
      const TensorSet& from = i == 0 || spec.name == "block_table" ? all.inputs : cache;
      std::ranges::copy(from.at(spec.name).bytes(), one.inputs.at(spec.name).bytes().begin());
    }
    one.outputs = test::layer_outputs_before(step, one.inputs);
    one.run();
    cache = one.outputs;
  }
  return cache;
}

}  // namespace

TEST_CASE("every stage of a layer agrees with loops in double", "[layer]") {
  const std::string problem = GENERATE(from_range(std::begin(kProblems), std::end(kProblems)));
  CAPTURE(problem);
  Running which(problem);
  REQUIRE(layer().supports(which.p).empty());
  which.run();
  check_stages(which);
}

TEST_CASE("no order of warps changes a bit of a layer", "[layer]") {
  const std::string problem = GENERATE(from_range(std::begin(kProblems), std::end(kProblems)));
  CAPTURE(problem);
  Running first(problem);
  first.run();
  for (const Schedule schedule : {1, 4711}) {
    Running other(problem);
    other.run(Backend::emu, schedule);
    for (const Tensor& tensor : first.outputs) {
      CAPTURE(tensor.name(), schedule);
      CHECK(test::same_bits(tensor, other.outputs.at(tensor.name())));
    }
  }
}

TEST_CASE("tokens one by one leave the cache bytes of all at once", "[layer]") {
  const std::string problem = GENERATE(
      "gqa B=2 Sq=21 Sk=40 H=4 G=2 D=16 dtype=bf16 level=layer E=136 norm=rms bias=qkv "
      "rope=default page=8 mask=causal",
      "mla B=2 Sq=21 Sk=40 H=4 D=24 Dv=40 dtype=fp16 level=layer E=72 L=48 Lq=32 Dr=8 "
      "rope=default mask=causal");
  CAPTURE(problem);
  Running all(problem);
  all.run();
  const TensorSet cache = step_by_step(all);
  for (const TensorSpec& spec : layer_caches(all.p)) {
    if (spec.name == "block_table") continue;
    CAPTURE(spec.name);
    CHECK(test::same_bits(all.outputs.at(spec.name), cache.at(spec.name)));
    CHECK_FALSE(test::same_bits(all.inputs.at(spec.name), cache.at(spec.name)));
  }
}

TEST_CASE("the layer takes the attention kernel that fits, and its descriptor", "[layer]") {
  const auto same_kernel = [](const std::string& problem, const char* attention) {
    const Problem p = parse_problem(problem);
    const Kernel& kernel = find_kernel(attention, Backend::emu);
    const Index splits = kernel.splits(core_of(p), 0);
    const Descriptor got = layer().descriptor(p, layer().splits(p, 0));
    const Descriptor want = kernel.descriptor(core_of(p), splits);
    return layer().splits(p, 0) == splits && got.block_k == want.block_k &&
           got.depth_pv == want.depth_pv && got.splits == want.splits;
  };
  const std::string gqa = "gqa Sk=2000 H=4 G=2 D=16 dtype=bf16 level=layer E=8 B=1 ";
  const std::string mla = "mla Sk=2000 H=4 D=24 dtype=bf16 level=layer E=8 L=16 Dr=8 B=1 ";
  CHECK(same_kernel(gqa + "Sq=8", "decode"));
  CHECK(same_kernel(gqa + "Sq=9", "prefill"));
  CHECK(same_kernel(mla + "Sq=1", "decode"));
  CHECK(same_kernel(mla + "Sq=100", "prefill"));
  CHECK(same_kernel(mla + "Sq=100 form=absorbed", "mla_decode"));
}

TEST_CASE("the layer says why it refuses a problem", "[layer]") {
  const auto reason = [](const std::string& problem) {
    return layer().supports(parse_problem(problem));
  };
  const std::string gqa = "gqa B=1 Sq=1 Sk=9 H=4 G=2 ", mla = "mla B=1 Sq=1 Sk=9 H=4 dtype=bf16 ";
  CHECK(reason(gqa + "D=16 dtype=bf16") == "level must be layer, got core");
  CHECK(reason(gqa + "D=16 dtype=bf16 level=layer E=8 tp=2") == "");  // as its shards
  CHECK(reason(gqa + "D=12 dtype=bf16 level=layer E=8 tp=2") ==
        "D must be a multiple of 8, got D=12");
  CHECK(reason(gqa + "D=16 dtype=fp32 level=layer E=8") == "dtype must be bf16 or fp16, got fp32");
  CHECK(reason(gqa + "D=16 dtype=bf16 level=layer E=12") == "E must be a multiple of 8, got E=12");
  CHECK(reason(gqa + "D=12 dtype=bf16 level=layer E=8") == "D must be a multiple of 8, got D=12");
  CHECK(reason(gqa + "D=136 dtype=bf16 level=layer E=8") == "Dv must be at most 128, got Dv=136");
  CHECK(reason(gqa + "D=16 dtype=bf16 level=layer E=8 page=4") ==
        "page must be a multiple of 8, got page=4");
  CHECK(reason(mla + "D=24 level=layer E=8 L=12 Dr=8") == "L must be a multiple of 8, got L=12");
  CHECK(reason(mla + "D=24 level=layer E=8 L=16 Lq=4 Dr=8") ==
        "Lq must be a multiple of 8, got Lq=4");
  CHECK(reason(mla + "D=24 level=layer E=8 L=16 Dr=4") == "Dn must be a multiple of 8, got Dn=20");
  CHECK(reason(mla + "D=24 level=layer E=8 L=520 Dr=8 form=absorbed") ==
        "Dv must be at most 512, got Dv=520");
}

TEST_CASE("the layer refuses tensors that do not fit the problem", "[layer]") {
  Running which(kProblems[1]);
  CHECK(refusal(which).empty());
  const auto table = which.inputs.at("block_table").as<std::int32_t>();
  const std::int32_t page = table[8];
  table[8] = static_cast<std::int32_t>(which.p.pool_pages());
  CHECK(refusal(which) == concat("attention: block_table must hold pages in [0, ", table[8],
                                 "), got ", table[8], " at [0, 8]; its keys are seen"));
  table[8] = page;
  which.inputs.at("seqlens_k").as<std::int32_t>()[1] = 8;
  CHECK(refusal(which).starts_with("attention: seqlens_k must hold the problem's lens, got 8"));
  which.inputs.at("seqlens_k").as<std::int32_t>()[1] = 7;
  which.p.layer.E = 80;
  CHECK(refusal(which) ==
        "layer: x must have the dtype and extents of cases/stages.h, got 432 elements of fp16");
}

TEST_CASE("every stage of a layer agrees with loops in double on a GPU too", "[layer][gpu]") {
  if (device_name(Backend::gpu).empty()) {
    WARN("not run: no GPU");
    return;
  }
  const std::string problem = GENERATE(from_range(std::begin(kProblems), std::end(kProblems)));
  CAPTURE(problem);
  Running which(problem);
  which.run(Backend::gpu);
  check_stages(which);
}
