#include "cases/scores.h"

#include "cases/error.h"
#include "cases/inputs.h"
#include "cases/problem.h"
#include "tests/catch.h"

using namespace attest;

namespace {

std::string refusal(const std::string& more) {
  try {
    parse_problem("gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 dtype=bf16" + more);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what shapes the scores prints in its order and reads back equal") {
  const std::string text =
      "gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 dtype=bf16 mask=causal window=127,-1 scale=0.25 softcap=50 "
      "attn_bias=head attn_mask=full sink=learned fill=heavy";
  CHECK(print(parse_problem(text)) == text);
  const std::string alibi = "mha B=1 Sq=3 Sk=9 H=4 G=4 D=8 dtype=bf16 alibi=1 sink=one";
  CHECK(print(parse_problem(alibi)) == alibi);
  CHECK(print(parse_problem(alibi + " window=-1,-1 attn_mask=none")) == alibi);
}

TEST_CASE("values of each pair have the axes that their key names") {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 dtype=bf16");
  CHECK(p.pair_shape(PerPair::shared) == std::vector<Index>{1, 1, 3, 9});
  CHECK(p.pair_shape(PerPair::batch) == std::vector<Index>{2, 1, 3, 9});
  CHECK(p.pair_shape(PerPair::head) == std::vector<Index>{1, 4, 3, 9});
  CHECK(p.pair_shape(PerPair::full) == std::vector<Index>{2, 4, 3, 9});
}

TEST_CASE("kv says what caches are kept in, and how they are scaled") {
  const std::string text = "gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 dtype=bf16 kv=e4m3 page=4";
  const Problem p = parse_problem(text);
  CHECK(print(p) == text);
  CHECK(print(parse_problem(text.substr(0, text.find(" kv")) + " kv=dtype page=4")) ==
        "gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 dtype=bf16 page=4");
  std::string names;
  for (const TensorSpec& x : inputs_of(p)) names += concat(x.name, ':', name(x.dtype), ' ');
  CHECK(names == "q:bf16 k_cache:e4m3 v_cache:e4m3 block_table:int32 k_scale:fp32 v_scale:fp32 ");
  names.clear();
  for (const TensorSpec& x : inputs_of(parse_problem(
           "mla B=2 Sq=1 Sk=5 H=4 D=40 dtype=fp16 kv=e5m2 form=absorbed Dn=20 Dr=16")))
    names += concat(x.name, ':', name(x.dtype), ' ');
  CHECK(names == "q:fp16 latent_cache:e5m2 k_scale:fp32 ");
  CHECK(refusal(" kv=fp16").find("kv must be e4m3 or e5m2") != std::string::npos);
  CHECK(refusal(" kv=e4m3 level=layer E=16").find("level=layer") != std::string::npos);
  CHECK_THROWS_WITH(parse_problem("mha B=1 Sq=3 Sk=9 H=4 D=8 dtype=fp32 kv=e4m3"),
                    Catch::Contains("with dtype=fp32"));
  CHECK_THROWS_WITH(parse_problem("mha B=1 Sq=3 Sk=9 H=4 D=8 dtype=e5m2"),
                    Catch::Contains("at least 16 bits, got e5m2; kv keeps"));
}

TEST_CASE("what contradicts itself is refused with its numbers") {
  CHECK(refusal(" mask=causal window=4,0").find("got window=4,0") != std::string::npos);
  CHECK(refusal(" window=4").starts_with("window: must be none or left,right"));
  CHECK(refusal(" window=-2,0").starts_with("window: left must be a whole number in [-1, "));
  CHECK(refusal(" alibi=1 attn_bias=full").find("got both") != std::string::npos);
  CHECK(refusal(" alibi=2").starts_with("case: alibi must be a whole number in [0, 1]"));
  CHECK(refusal(" softcap=-1").find("softcap must lie in [0, 10000]") != std::string::npos);
  CHECK(refusal(" sink=two").starts_with("sink: must be one of none one learned"));
  CHECK(refusal(" attn_mask=heads") ==
        "attn_mask: must be one of none shared batch head full, got heads");
  CHECK(refusal(" fill=needle sink=one").ends_with("of plain scores only, got sink"));
  CHECK(refusal(" level=layer E=16 alibi=1 sink=one").ends_with("got alibi"));
  CHECK(refusal(" level=layer E=16 mask=causal window=4,-1 sink=learned") == "accepted");
}
