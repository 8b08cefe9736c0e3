// The table of input hashes, which tests/golden/test_inputs.py draws again with numpy.
#include <cstdlib>
#include <fstream>

#include "cases/error.h"
#include "harness/inputs.h"
#include "tests/catch.h"

using namespace attest;

namespace {

const std::string kHashes = ATTEST_SOURCE_DIR "/tests/golden/input_hashes.txt";

/// Shapes of the hash table: every mask and dtype, Sq > Sk, D below the bits of a key, no keys;
/// windows that end inside tiles, all that enters scores, with each set of axes.
constexpr std::string_view kHashed[] = {
    "gqa B=2 Sq=5 Sk=70 H=4 G=2 D=64 dtype=bf16 mask=causal seed=1",
    "mha B=1 Sq=70 Sk=67 H=2 D=72 Dv=40 dtype=fp16 mask=causal seed=2",
    "mqa B=2 Sq=9 Sk=133 H=9 D=24 Dv=7 dtype=fp32 mask=causal_top_left "
    "seed=18446744073709551615",
    "mha B=1 Sq=2 Sk=300 H=1 D=8 dtype=fp64",
    "mha B=1 Sq=2 Sk=0 H=1 D=2 dtype=bf16",
    "mla B=2 Sq=3 Sk=5 H=4 D=40 Dv=24 dtype=bf16 Dr=16 seed=3",
    "mla B=2 Sq=3 Sk=5 H=4 D=40 dtype=bf16 form=absorbed Dn=20 Dr=16 seed=3",
    "gqa B=3 Sq=2 Sk=21 H=4 G=2 D=24 Dv=16 dtype=fp16 page=8 seed=4",
    "mla B=2 Sq=3 Sk=5 H=4 D=40 dtype=bf16 form=absorbed Dn=20 Dr=16 page=3 seed=3",
    "gqa B=3 Sq=2 Sk=9 H=4 G=2 D=24 Dv=16 dtype=fp32 lens=1,9,0 mask=causal seed=6",
    "mla B=4 Sq=3 Sk=7 H=5 D=40 dtype=bf16 form=absorbed Dn=20 Dr=16 lens=7,2,6,0 page=3 seed=7",
    "gqa B=2 Sq=2 Sk=9 H=4 G=2 D=24 Dv=16 dtype=bf16 lens=9,4 scale=0.375 softcap=2.5 seed=8",
    "gqa B=2 Sq=70 Sk=83 H=4 G=2 D=24 Dv=16 dtype=bf16 window=17,5 seed=13",
    "mha B=2 Sq=9 Sk=150 H=2 D=40 dtype=fp16 lens=150,6 mask=causal window=66,-1 seed=14",
    "mqa B=1 Sq=5 Sk=3 H=7 D=24 Dv=10 dtype=fp32 mask=causal_top_left window=1,-1 seed=15",
    "gqa B=2 Sq=3 Sk=11 H=6 G=2 D=24 Dv=16 dtype=fp16 layout=sbhd alibi=1 sink=one seed=16",
    "mha B=1 Sq=7 Sk=7 H=5 D=24 dtype=bf16 layout=qkv alibi=1 sink=learned seed=17",
    "gqa B=3 Sq=2 Sk=21 H=4 G=2 D=16 dtype=bf16 lens=4,19,0 page=8 attn_bias=full seed=18",
    "mha B=3 Sq=4 Sk=9 H=2 D=16 dtype=fp16 layout=bhsd lens=5,8,7 attn_bias=shared seed=19",
    "mqa B=2 Sq=3 Sk=70 H=3 D=16 dtype=fp32 attn_bias=batch attn_mask=head seed=20",
    "mla B=2 Sq=3 Sk=5 H=4 D=40 dtype=fp64 form=absorbed Dn=20 Dr=16 attn_bias=head "
    "attn_mask=batch sink=learned seed=18446744073709551615",
    "mha B=2 Sq=17 Sk=131 H=3 D=16 dtype=bf16 lens=131,64 attn_mask=full seed=28",
    "gqa B=3 Sq=18 Sk=9 H=4 G=2 D=16 dtype=bf16 lens=1,9,0 attn_mask=shared seed=22",
    "gqa B=2 Sq=2 Sk=21 H=6 G=3 D=24 Dv=16 dtype=fp16 kv=e4m3 seed=16",
    "gqa B=3 Sq=2 Sk=21 H=4 G=2 D=24 Dv=16 dtype=bf16 kv=e5m2 lens=1,21,0 page=8 seed=17",
    "mla B=2 Sq=3 Sk=5 H=4 D=40 dtype=bf16 kv=e4m3 form=absorbed Dn=20 Dr=16 page=3 seed=18",
    "mha B=2 Sq=3 Sk=8 H=3 D=10 dtype=fp16 level=layer E=20 norm=layer bias=qkv seed=9",
    "gqa B=3 Sq=2 Sk=13 H=6 G=2 D=8 dtype=bf16 level=layer E=34 norm=rms_zero_centered bias=all "
    "gate=1 rope=default:dim:4 lens=6,13,2 page=4 mask=causal scale=0.25 softcap=20 seed=10",
    "mqa B=1 Sq=1 Sk=5 H=4 D=16 dtype=fp32 level=layer E=64 norm=l2 seed=18446744073709551615",
    "mqa B=1 Sq=3 Sk=3 H=4 D=16 dtype=fp64 level=layer E=31 tp=2 norm=rms",
    "mla B=2 Sq=2 Sk=7 H=3 D=20 Dv=12 dtype=bf16 level=layer E=33 L=18 Lq=40 Dr=8 lens=7,3 "
    "seed=11",
    "mla B=2 Sq=2 Sk=7 H=3 D=20 Dv=12 dtype=fp16 level=layer E=24 L=32 form=absorbed Dr=8 page=3 "
    "rope=yarn:factor:40,orig:4096 seed=12",
    "gqa B=2 Sq=2 Sk=9 H=6 G=2 D=8 dtype=bf16 level=layer E=30 lens=9,4 window=3,0 softcap=4 "
    "sink=learned seed=23",
};

/// What no fill changes: drawn once.
bool has_score_inputs(const Problem& p) {
  return p.alibi || p.attn_bias != PerPair::none || p.attn_mask != PerPair::none ||
         p.sink != Sink::none;
}

/// `hash tensor problem`, one line for each tensor of each fill.
std::vector<std::string> hash_lines() {
  std::vector<std::string> lines;
  for (const std::string_view text : kHashed)
    for (const FillInfo& fill : fills()) {
      Problem p = parse_problem(text);
      p.fill = fill.fill;
      const bool layer = p.level == Level::layer;
      if (layer ? !fill.of_layer : p.form == Form::absorbed && !fill.of_latent) continue;
      if (p.softcap > 0 && fill.tag == FillTag::exact) continue;
      if (!layer && has_score_inputs(p) && p.fill != Fill::normal) continue;
      for (const Tensor& tensor : make_inputs(p))
        if (!layer || p.fill == Fill::normal || tensor.name() == "x")  // all that a fill makes
          lines.push_back(concat(tensor.sha256(), ' ', tensor.name(), ' ', print(p)));
    }
  return lines;
}

}  // namespace

TEST_CASE("every fill draws the bits of the hash table, which numpy draws too") {
  std::ifstream file(kHashes);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  const std::vector<std::string> drawn = hash_lines();
  REQUIRE(lines.size() == drawn.size());
  for (std::size_t n = 0; n < lines.size(); ++n) CHECK(drawn[n] == lines[n]);
}

// After a recipe has changed: ATTEST_WRITE_HASHES=1 test_harness "write the table of input hashes"
TEST_CASE("write the table of input hashes", "[.write]") {
  if (!std::getenv("ATTEST_WRITE_HASHES")) return;
  std::ofstream file(kHashes);
  for (const std::string& line : hash_lines()) file << line << '\n';
  CHECK(file.flush());
}
