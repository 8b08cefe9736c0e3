#include "harness/candidate_layer.h"

#include <cmath>
#include <numbers>

#include "cases/error.h"
#include "harness/golden_truth.h"
#include "harness/inputs.h"
#include "tests/catch.h"
#include "tests/harness/simulated_layer.h"
#include "tests/harness/truth_by_hand.h"

using namespace attest;

namespace {

const std::string kGqa =
    "gqa B=2 Sq=3 Sk=20 H=8 G=2 D=16 dtype=bf16 level=layer E=72 norm=rms bias=all gate=1 "
    "rope=default:theta:500000 lens=20,9 page=8 mask=causal seed=5";
const std::string kMla =
    "mla B=2 Sq=3 Sk=20 H=4 D=24 Dv=40 dtype=fp16 level=layer E=72 L=48 Lq=32 form=absorbed Dr=8 "
    "rope=yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1 mask=causal lens=20,7";

/// A layer as a golden stores it, and beside it one whose stages round once.
struct Pair {
  StoredCase golden, candidate;

  explicit Pair(const std::string& text,
                const std::function<void(std::string_view stage, TensorSet& left)>& between = {}) {
    const Problem p = parse_problem(text);
    const TensorSet inputs = make_inputs(p);
    const Truth truth = golden_truth(p, inputs);
    golden.problem = candidate.problem = p;
    golden.groups = {
        {"inputs", inputs}, {"outputs", truth.outputs}, {"conditioning", truth.conditioning}};
    candidate.groups["outputs"] = simulate_layer(p, inputs, between);
  }

  TensorSet& outputs() { return candidate.groups.at("outputs"); }

  void keep(const std::function<bool(const std::string&)>& wanted) {
    TensorSet kept;
    for (const Tensor& tensor : outputs())
      if (wanted(tensor.name())) kept.add(tensor);
    outputs() = kept;
  }

  /// Stores a tensor in another type, with every value changed.
  void replace(const std::string& name, Dtype dtype, double (*change)(double)) {
    TensorSet changed;
    for (const Tensor& old : outputs()) {
      if (old.name() != name) {
        changed.add(old);
        continue;
      }
      Tensor& tensor = changed.add(Tensor(name, dtype, old.layout(), old.shape()));
      for (Index n = 0; n < old.size(); ++n) by_hand::poke(tensor, n, change(old.value(n)));
    }
    outputs() = changed;
  }

  Candidate judged(const CandidateOptions& options = {}) const {
    return judge_candidate(candidate, golden, options, "");
  }
};

bool is_y(const std::string& name) { return name == "y"; }
double same(double x) { return x; }
double to_log2(double lse) { return lse / std::numbers::ln2; }

}  // namespace

TEST_CASE("a candidate with every stage of a layer is judged stage by stage") {
  for (const std::string& text : {kGqa, kMla}) {
    CAPTURE(text);
    const Pair pair(text);
    const Candidate judged = pair.judged();
    const Judgement& j = judged.record.judgement;
    CAPTURE(j.message);
    CHECK(j.verdict == Verdict::pass);
    CHECK(j.message.empty());
    CHECK(j.stages.size() == stages(pair.golden.problem).size());
    CHECK(j.metrics.nmse > 0);
    CHECK(judged.taken_for == concat("stages in ", name(pair.golden.problem.dtype),
                                     ", taken for flash-attention (default for ",
                                     name(pair.golden.problem.dtype), ")"));
    CHECK(judged.record.o_sha256 == pair.candidate.groups.at("outputs").at("y").sha256());
    CHECK(judged.record.descriptor);
  }
}

TEST_CASE("what a layer's stages round is taken from the likeness") {
  const Problem p = parse_problem(kMla);
  const Descriptor flash = descriptor_of(find_likeness("flash-attention"), p, p.dtype, {});
  CHECK(flash.depth_qk == 17 * 4);  // 48 + 8 wide
  CHECK(flash.layer.u_acc == 0x1p-23);
  CHECK(flash.layer.mma_width == 16);
  const Descriptor exact = descriptor_of(find_likeness("exact-fp64"), p, p.dtype, {});
  CHECK(exact.layer.u_acc == 0x1p-53);
  CHECK(exact.layer.mma_width == 1);
  CHECK(exact.u_tanh == 0x1p-51);
  const Pair pair(kGqa);
  CHECK(pair.judged({.like = "naive-fp32"}).record.judgement.verdict == Verdict::pass);
}

TEST_CASE("a wrong stage of a candidate is red by its name, and no other") {
  const struct {
    std::string text, stage, tensor;
    Index at;
  } mistakes[] = {{kGqa, "qkv", "qkv", 7},           {kGqa, "rope_append", "q_rot", 40},
                  {kGqa, "attention", "o", 3},       {kGqa, "gate", "o_gated", 9},
                  {kGqa, "out", "y", 100},           {kMla, "q_down", "c_q", 0},
                  {kMla, "q_absorb", "q_latent", 5}, {kMla, "v_up", "o", 11}};
  for (const auto& [text, stage, tensor, at] : mistakes) {
    CAPTURE(text, stage);
    const auto& wrong = tensor;
    const Index element = at;
    const std::string& where = stage;
    const Pair pair(text, [&](std::string_view after, TensorSet& left) {
      if (after == where)
        by_hand::poke(left.at(wrong), element, left.at(wrong).value(element) * 1.1);
    });
    const Candidate judged = pair.judged();
    const Judgement& j = judged.record.judgement;
    CHECK(j.verdict == Verdict::fail);
    CHECK(j.message.starts_with("stage " + stage + ": " + tensor + "["));
    for (const StageResult& result : j.stages)
      CHECK((result.verdict == Verdict::fail) == (result.stage == stage));
    CHECK(judged.passes_with.empty());
  }
}

TEST_CASE("y alone is judged end to end, in any type, and the record says what is left out") {
  for (const std::string& text : {kGqa, kMla}) {
    CAPTURE(text);
    Pair pair(text);
    pair.keep(is_y);
    const Candidate judged = pair.judged();
    CHECK(judged.like == nullptr);
    CHECK(judged.taken_for ==
          concat("y in ", name(pair.golden.problem.dtype), ", judged end to end alone"));
    const Judgement& j = judged.record.judgement;
    CHECK(j.verdict == Verdict::pass);
    CHECK(j.stages.empty());
    CHECK(j.metrics.nmse > 0);
    CHECK(j.end_to_end_limit > j.metrics.nmse);
    CHECK_THAT(j.message, Catch::StartsWith("end to end: error^2 of y over y^2 is ") &&
                              Catch::EndsWith(", ..."));
    for (const Dtype wide : {Dtype::fp32, Dtype::fp64}) {
      pair.replace("y", wide, same);
      CHECK(pair.judged().record.judgement.metrics.nmse == j.metrics.nmse);
    }
  }
}

TEST_CASE("a y that is off by a twentieth fails end to end, and one that is not finite by name") {
  Pair pair(kGqa);
  pair.keep(is_y);
  pair.replace("y", Dtype::fp32, [](double y) { return y * 1.05; });
  Judgement j = pair.judged().record.judgement;
  CHECK(j.verdict == Verdict::fail);
  CHECK(j.check == Check::nmse);
  CHECK(j.metrics.nmse == Approx(0.0025).epsilon(0.05));
  CHECK_THAT(j.message, Catch::StartsWith("end to end: ") && Catch::Contains(", above ") &&
                            Catch::Contains("; stages are not judged: the candidate has no qkv, "
                                            "q_rot, k_cache, ...") &&
                            !Catch::Contains("within its bound"));
  by_hand::poke(pair.outputs().at("y"), 72 * 4 + 3, std::nan(""));
  j = pair.judged().record.judgement;
  CHECK(j.check == Check::nonfinite);
  CHECK(j.failing == 1);
  CHECK(j.message.starts_with("y[b=1,i=1,e=3] got nan"));
}

TEST_CASE("over a long context y alone fails or proves nothing, never passes with a wrong y") {
  for (const std::string text :
       {"gqa B=1 Sq=2 Sk=8192 H=4 G=2 D=64 dtype=bf16 level=layer E=64 rope=default mask=causal",
        "mla B=1 Sq=1 Sk=4096 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 form=absorbed "
        "Dr=8"}) {
    CAPTURE(text);
    const auto verdict_of = [&](double (*change)(double)) {
      Pair pair(text);
      pair.keep(is_y);
      pair.replace("y", Dtype::fp32, change);
      return pair.judged().record.judgement.verdict;
    };
    CHECK(verdict_of(same) != Verdict::fail);
    CHECK(verdict_of([](double) { return 0.0; }) == Verdict::fail);
    CHECK(verdict_of([](double y) { return 1.2 * y; }) == Verdict::fail);
    CHECK(verdict_of([](double y) { return 1.05 * y; }) != Verdict::pass);
  }
}

TEST_CASE("one stage less leaves all but y out, and so do ranks") {
  Pair pair(kMla);
  pair.keep([](const std::string& name) { return name != "u"; });
  CHECK_THAT(pair.judged().record.judgement.message, Catch::EndsWith("the candidate has no u"));
  CHECK_THAT(pair.judged().taken_for,
             Catch::EndsWith(" other tensors given, but the candidate has no u)"));
  const Pair ranks("mha B=1 Sq=2 Sk=5 H=4 D=8 dtype=bf16 level=layer E=24 tp=2");
  const Judgement j = ranks.judged().record.judgement;
  CHECK(j.verdict == Verdict::pass);
  CHECK(j.stages.empty());
  CHECK_THAT(j.message, Catch::EndsWith("each of the 2 ranks has stages of its own"));
}

TEST_CASE("an old row of a cache that became NaN fails the stage that appends") {
  for (const std::string& text : {kGqa, kMla}) {
    Pair pair(text);
    const bool mla = pair.golden.problem.variant == Variant::mla;
    Tensor& cache = pair.outputs().at(mla ? "latent_cache" : "k_cache");
    Index old = 0;  // an element that an earlier token holds
    while (std::isnan(pair.golden.groups.at("inputs").at(cache.name()).value(old))) ++old;
    by_hand::poke(cache, old, std::nan(""));
    const Judgement j = pair.judged().record.judgement;
    CHECK(j.verdict == Verdict::fail);
    CHECK(j.check == Check::exact);
    CHECK(j.message.starts_with("stage rope_append: " + cache.name() + "["));
    CHECK_THAT(j.message, Catch::Contains("was overwritten"));
  }
}

TEST_CASE("stages that were rounded and stored wider, or an lse in log2, pass as what they are") {
  Pair pair(kGqa);
  pair.replace("lse", Dtype::fp32, to_log2);
  CHECK(pair.judged().record.judgement.message.starts_with("stage attention: lse["));
  CHECK(pair.judged().passes_with == "--lse log2");
  CandidateOptions told{.reading = {.lse_log2 = true}};
  CHECK(pair.judged(told).record.judgement.verdict == Verdict::pass);
  for (const char* name : {"k_cache", "q_rot", "y"}) pair.replace(name, Dtype::fp32, same);
  CHECK_THROWS_WITH(pair.judged(told), Catch::Contains("got q_rot in fp32 for gqa") &&
                                           Catch::Contains("give --o-rounded"));
  told.reading.o_rounded = true;
  CHECK(pair.judged(told).record.judgement.verdict == Verdict::pass);
  by_hand::poke(pair.outputs().at("q_rot"), 2, 1.001);
  CHECK_THROWS_WITH(pair.judged(told), Catch::Contains("got q_rot in fp32 with others"));
}

TEST_CASE("a layer's candidate that cannot be judged is refused with the rule") {
  Pair pair(kMla);
  const auto refused = [&](const std::string& rule, const CandidateOptions& options = {}) {
    CHECK_THROWS_AS(pair.judged(options), InfraError);
    CHECK_THROWS_WITH(pair.judged(options), Catch::Contains(rule));
  };
  SECTION("no y") {
    pair.keep([](const std::string& name) { return name == "o"; });
    refused("the candidate must store outputs/y, got none of it for mla");
  }
  SECTION("y in the other 16-bit type") {
    pair.replace("y", Dtype::bf16, same);
    refused("y of the candidate must be one of fp16, fp32, fp64, got bf16");
  }
  SECTION("other weights") {
    Tensor w = pair.golden.groups.at("inputs").at("w_o");
    Tensor other(w.name(), w.dtype(), w.layout(), w.shape());
    pair.candidate.groups["inputs"].add(other);
    refused("got other bits in w_o for mla");
  }
  SECTION("a narrow lse of a computation in fp64") {
    refused("lse must be fp64 with --like exact-fp64, got fp32", {.like = "exact-fp64"});
  }
}
