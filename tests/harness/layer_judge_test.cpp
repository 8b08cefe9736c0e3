#include "harness/layer_judge.h"

#include <cmath>

#include "harness/poison.h"
#include "tests/catch.h"
#include "tests/harness/simulated_layer.h"

using namespace attest;

namespace {

const std::string kGqa =
    "gqa B=2 Sq=3 Sk=20 H=8 G=2 D=16 dtype=bf16 level=layer E=72 norm=rms bias=all gate=1 "
    "rope=default:theta:500000 mask=causal seed=5";
const std::string kMla =
    "mla B=2 Sq=3 Sk=20 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 Dr=8 "
    "rope=yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1 mask=causal lens=20,7";

/// What rounding a layer of true stages declares.
Descriptor descriptor_of(const Problem& p) {
  return {.u_acc = 0x1p-24,
          .depth_qk = 1,
          .chain_qk = 1,
          .depth_pv = 1,
          .chain_pv = 1,
          .depth_l = 1,
          .u_a = 0x1p-24,
          .u_exp = 0x1p-24,
          .p_type = Dtype::fp32,
          .l_from_rounded_p = false,
          .block_k = 64,
          .splits = 1,
          .o_type = p.dtype,
          .layer = {}};
}

using Between = std::function<void(std::string_view, TensorSet&)>;

Judgement judge_simulated(const Problem& p, const Between& between = {}) {
  const TensorSet inputs = make_layer_inputs(p);
  return judge_layer(p, inputs, reference::layer(p, inputs), descriptor_of(p),
                     simulate_layer(p, inputs, between));
}

void set(Tensor& tensor, Index n, double value) {
  encode(tensor.dtype(), value,
         tensor.bytes().data() + n * static_cast<Index>(size_of(tensor.dtype())));
}

/// Spoils element n of a tensor after its stage.
Between spoil(std::string_view stage, std::string_view name, Index n,
              const std::function<double(double)>& change) {
  return [=](std::string_view at, TensorSet& left) {
    if (at == stage) set(left.at(name), n, change(left.at(name).value(n)));
  };
}

double a_little_more(double x) { return x * 1.02 + 1e-6; }

}  // namespace

TEST_CASE("a layer whose stages each round once passes, every stage and end to end") {
  for (const std::string& text : {kGqa, kGqa + " page=8 lens=20,7", kMla, kMla + " form=absorbed",
                                  kMla + " form=absorbed page=8"}) {
    CAPTURE(text);
    const Problem p = parse_problem(text);
    const Judgement j = judge_simulated(p);
    CAPTURE(j.message);
    CHECK(j.verdict == Verdict::pass);
    CHECK(j.stages.size() == stages(p).size());
    CHECK(j.metrics.hard_ratio > 0.3);
    CHECK(j.metrics.hard_ratio <= 1);
    CHECK(j.metrics.nmse > 0);
    CHECK(j.metrics.nmse <= j.end_to_end_limit);
    for (const StageResult& stage : j.stages) CHECK(stage.total > 0);
  }
}

TEST_CASE("an element that is off fails the stage that made it and no other") {
  struct {
    std::string text, stage, tensor;
  } const cases[] = {{kGqa, "qkv", "qkv"},
                     {kGqa, "rope_append", "q_rot"},
                     {kGqa, "attention", "o"},
                     {kGqa, "gate", "o_gated"},
                     {kGqa, "out", "y"},
                     {kMla, "q_norm", "c_q_norm"},
                     {kMla, "kv_down", "kv_down"},
                     {kMla, "kv_up", "kv"},
                     {kMla + " form=absorbed", "q_absorb", "q_latent"},
                     {kMla + " form=absorbed", "v_up", "o"}};
  for (const auto& [text, stage, tensor] : cases) {
    CAPTURE(text, stage);
    const Judgement j =
        judge_simulated(parse_problem(text), spoil(stage, tensor, 5, a_little_more));
    CHECK(j.verdict == Verdict::fail);
    CHECK(j.check == Check::hard_bound);
    CHECK(j.message.starts_with("stage " + stage + ": " + tensor + "["));
    for (const StageResult& result : j.stages)
      CHECK((result.verdict == Verdict::fail) == (result.stage == stage));
  }
}

TEST_CASE("a copy must be exact, to the last bit of v in its cache") {
  const Problem p = parse_problem(kGqa);
  const Index at = (17 * 2) * 16;  // position 17, the first new one; its first head
  const Judgement j = judge_simulated(
      p, spoil("rope_append", "v_cache", at + 3, [](double x) { return x * (1 + 0x1p-7); }));
  CHECK(j.check == Check::exact);
  CHECK(j.message.starts_with("stage rope_append: v_cache[b=0,i=0,h=0,d=3] "));
}

TEST_CASE("a cache row of an earlier token may not change") {
  const Problem p = parse_problem(kGqa);
  const Judgement j =
      judge_simulated(p, spoil("rope_append", "k_cache", 4 * 2 * 16, [](double) { return 7.0; }));
  CHECK(j.verdict == Verdict::fail);
  CHECK(j.check == Check::exact);
  CHECK(j.message ==
        "stage rope_append: k_cache[0,4] was overwritten, though no new token belongs there");
}

TEST_CASE("what is not finite ends the judgement at the stage that made it") {
  const Judgement j =
      judge_simulated(parse_problem(kMla), [](std::string_view stage, TensorSet& left) {
        if (stage == "out") set(left.at("y"), 0, std::nan(""));
      });
  CHECK(j.check == Check::nonfinite);
  CHECK(j.message.starts_with("stage out: y[b=0,i=0,e=0] got nan"));
}

TEST_CASE("a projection that truncates is seen by rho or by an element") {
  const Judgement j =
      judge_simulated(parse_problem(kGqa), [](std::string_view stage, TensorSet& left) {
        if (stage != "out") return;
        Tensor& y = left.at("y");
        for (Index n = 0; n < y.size(); ++n) set(y, n, y.value(n) * (1 - 0x1p-8));
      });
  CHECK(j.verdict == Verdict::fail);
  CHECK((j.check == Check::hard_bound || j.check == Check::rho));
}

TEST_CASE("stages that agree on another layer fail end to end, and nowhere else") {
  const Problem p = parse_problem(kGqa);
  Problem other = p;
  other.rope.theta = 10000;
  const TensorSet inputs = make_layer_inputs(p);
  const Judgement j = judge_layer(p, inputs, reference::layer(other, inputs), descriptor_of(p),
                                  simulate_layer(p, inputs));
  CHECK(j.verdict == Verdict::fail);
  CHECK(j.check == Check::nmse);
  for (const StageResult& stage : j.stages) CHECK(stage.verdict == Verdict::pass);
}

TEST_CASE("a layer that looks at a slot before its token is there fails as poisoned") {
  for (const std::string& text : {kGqa, kGqa + " page=8", kMla}) {
    CAPTURE(text);
    const Problem p = parse_problem(text);
    const TensorSet inputs = make_layer_inputs(p);
    const TensorSet outputs = simulate_layer(p, inputs);
    const std::string cache = p.variant == Variant::mla ? "latent_cache" : "k_cache";
    const auto rerun = [&](bool looks) {
      return [&, looks](const TensorSet& poisoned) {
        TensorSet again = simulate_layer(p, poisoned);
        const Tensor& before = poisoned.at(cache);
        const Index row = before.size() / (before.shape()[0] * before.shape()[1]);
        const double seen = before.value(slot_of(p, poisoned, 0, cached_tokens(p, 0)) * row);
        if (looks && std::isfinite(seen)) set(again.at("y"), 0, seen);
        return again;
      };
    };
    Judgement healthy, poisoned;
    ask_poison(p, inputs, outputs, rerun(false), healthy);
    CHECK(healthy.verdict == Verdict::pass);
    ask_poison(p, inputs, outputs, rerun(true), poisoned);
    CHECK(poisoned.check == Check::poison);
    CHECK(poisoned.message.starts_with("y[b=0,i=0,e=0] got "));
    CHECK(poisoned.failing == 1);
  }
}
