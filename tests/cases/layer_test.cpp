#include "cases/layer.h"

#include "cases/case.h"
#include "cases/error.h"
#include "cases/stages.h"
#include "tests/catch.h"

using namespace attest;

namespace {

std::string refusal(std::string_view text) {
  try {
    parse_case(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string stage_names(std::string_view text) {
  std::string names;
  for (const Stage& stage : stages(parse_problem(text))) names += std::string(stage.name) + ' ';
  return names;
}

std::vector<Index> shape(const std::vector<TensorSpec>& all, std::string_view name) {
  for (const TensorSpec& each : all)
    if (each.name == name) return each.shape;
  return {};
}

const std::string kGqa =
    "gqa B=2 Sq=3 Sk=65 H=8 G=2 D=16 Dv=16 dtype=bf16 level=layer E=72 rope=default mask=causal";
const std::string kMla =
    "mla B=2 Sq=3 Sk=65 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 Dr=8 mask=causal";

}  // namespace

TEST_CASE("a layer prints in canonical order and reads back equal") {
  for (
      const char* text :
      {"gqa B=2 Sq=3 Sk=65 H=8 G=2 D=16 dtype=bf16 level=layer E=72 tp=2 norm=rms bias=all gate=1 "
       "eps=1e-05 rope=default:theta:1e+06 lens=65,7 page=8 mask=causal fill=heavy seed=3",
       "mla B=2 Sq=3 Sk=65 H=4 G=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 form=absorbed "
       "Dr=8 mask=causal",
       "mla B=2 Sq=3 Sk=65 H=4 G=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Dr=8 mask=causal"}) {
    CHECK(print(parse_problem(text)) == text);
    CHECK(parse_problem(print(parse_problem(text))) == parse_problem(text));
  }
}

TEST_CASE("the stages of a layer follow from variant, form, latent and gate") {
  CHECK(stage_names(kGqa) == "qkv rope_append attention out ");
  CHECK(stage_names(kGqa + " gate=1") == "qkv rope_append attention gate out ");
  CHECK(stage_names(kMla) ==
        "q_down q_norm q_up kv_down rope_append kv_up assemble attention out ");
  CHECK(stage_names(kMla + " form=absorbed") ==
        "q_down q_norm q_up kv_down rope_append q_absorb attention v_up out ");
}

TEST_CASE("weights have the fused layout's rows, a shard its share of them") {
  const Problem gqa = parse_problem(kGqa + " gate=1 tp=4");
  CHECK(shape(layer_weights(gqa), "w_qkv") == std::vector<Index>{(8 + 8 + 2 + 2) * 16, 72});
  const Problem shard = shard_of(gqa, 3);  // two heads and, as tp > G, one group of two ranks
  CHECK(shape(layer_weights(shard), "w_qkv") == std::vector<Index>{(2 + 2 + 1 + 1) * 16, 72});
  CHECK(shape(layer_weights(shard), "w_o") == std::vector<Index>{72, 2 * 16});
  const Problem mla = parse_problem(kMla);
  CHECK(shape(layer_weights(mla), "w_ukv") == std::vector<Index>{4 * (16 + 40), 48});
  CHECK(shape(layer_caches(mla), "latent_cache") == std::vector<Index>{2, 65, 56});
  const Problem core = core_of(parse_problem(kMla + " form=absorbed"));
  CHECK(print(core) ==
        "mla B=2 Sq=3 Sk=65 H=4 G=1 D=56 Dv=48 dtype=bf16 form=absorbed Dn=16 Dr=8 mask=causal");
  validate(core);
  CHECK(print(core_of(parse_problem(kGqa))) ==
        "gqa B=2 Sq=3 Sk=65 H=8 G=2 D=16 dtype=bf16 mask=causal");
}

TEST_CASE("what no layer can be is refused with the rule and the numbers") {
  CHECK(refusal(kGqa + " tp=3") == "problem: H must be a multiple of tp, got H=8 tp=3");
  CHECK(refusal("gqa B=1 Sq=1 Sk=9 H=12 G=4 D=16 dtype=bf16 level=layer E=8 tp=6") ==
        "problem: G must be a multiple of tp, or tp of G, got G=4 tp=6");
  CHECK(refusal(kGqa + " lens=65,2") ==
        "problem: a layer appends its Sq tokens to the cache, so that no length is below Sq, got 2 "
        "for batch entry 1 with Sq=3");
  CHECK(refusal(kGqa + " lens=65,66") ==
        "problem: lens must lie within the cache, in [0, Sk], got 66 for batch entry 1 with Sk=65");
  CHECK(refusal(kGqa + " lens=65") ==
        "problem: lens must give each of the B batch entries its keys, got 1 lengths for B=2");
  CHECK(refusal(kGqa + " fill=needle") ==
        "problem: a layer's fill must make hidden states, not scores, got fill=needle");
  CHECK(refusal(kMla + " gate=1") ==
        "problem: norm, bias and gate belong to other variants, got one in mla");
  CHECK(refusal("gqa B=1 Sq=1 Sk=9 H=4 G=2 D=16 dtype=bf16 E=8") ==
        "problem: E, L, Lq, tp, norm, bias, gate and eps belong to level=layer, got one in "
        "level=core");
  for (const char* rope : {"rope=default:dim:7", "rope=default:dim:18", "rope=linear:factor:0.5"}) {
    CAPTURE(rope);
    std::string text = kGqa;
    text.replace(text.find("rope=default"), 12, rope);
    CHECK(refusal(text).starts_with("rope: "));
  }
}

TEST_CASE("lengths give every batch entry its own end of keys") {
  const Problem p =
      parse_problem("gqa B=3 Sq=2 Sk=9 H=2 G=1 D=8 dtype=bf16 lens=9,5,0 mask=causal");
  CHECK(p.visible(0, 0).end == 8);
  CHECK(p.visible(1, 0).end == 4);
  CHECK(p.visible(1, 1).end == 5);
  CHECK(p.visible(2, 1).end == 0);
  CHECK(p.position(1, 1) == 4);
}
