#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include "tests/catch.h"
#include "tests/cuda/naive_attention.h"

// Attention of fp32: every feature against a double loop, to a millionth, and what breaks it.

using namespace attest;
using test::Slip;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kMillionth = 1e-6 * 0x1p24;  // in units of test::errors()

const Kernel& ffma() { return find_kernel("ffma", Backend::emu); }

test::Errors worst(const std::string& text, Slip slip = Slip::none) {
  const Problem p = parse_problem(text);
  const TensorSet inputs = test::attention_inputs(p);
  return test::errors(p, test::run_attention(ffma(), p, inputs),
                      test::naive_attention(p, inputs, slip));
}

constexpr const char* kProblems[] = {
    "mha B=2 Sq=3 Sk=40 H=5 D=64 dtype=fp32",
    "gqa B=1 Sq=37 Sk=70 H=6 G=2 D=7 Dv=5 dtype=fp32 mask=causal",
    "gqa B=2 Sq=9 Sk=33 H=14 G=2 D=65 Dv=33 dtype=fp32 mask=causal_top_left",
    "mqa B=1 Sq=50 Sk=31 H=3 D=193 Dv=40 dtype=fp32 mask=causal",
    "mqa B=1 Sq=5 Sk=100 H=7 D=20 Dv=300 dtype=fp32 lens=97 window=40,3",
    "mha B=2 Sq=20 Sk=90 H=3 D=40 dtype=fp32 lens=90,33 page=5 mask=causal window=32,-1",
    "gqa B=3 Sq=4 Sk=65 H=4 G=2 D=48 Dv=24 dtype=fp32 lens=33,0,65 window=-1,9 page=16",
    "gqa B=2 Sq=5 Sk=33 H=4 G=2 D=32 dtype=fp32 softcap=2 scale=0.3 alibi=1",
    "gqa B=2 Sq=5 Sk=33 H=4 G=2 D=32 dtype=fp32 mask=causal attn_bias=full softcap=1 sink=learned",
    "mqa B=3 Sq=6 Sk=40 H=5 D=16 dtype=fp32 lens=40,7,33 attn_bias=shared attn_mask=batch sink=one",
    "mha B=2 Sq=6 Sk=40 H=5 D=16 dtype=fp32 alibi=1 attn_mask=head",
    "gqa B=2 Sq=6 Sk=35 H=4 G=2 D=16 Dv=24 dtype=fp32 layout=sbhd mask=causal attn_bias=head",
    "mha B=2 Sq=6 Sk=35 H=4 D=16 Dv=24 dtype=fp32 layout=bhsd lens=35,9 attn_mask=shared",
    "gqa B=2 Sq=35 Sk=35 H=4 G=2 D=12 dtype=fp32 layout=qkv mask=causal attn_mask=full",
    "mla B=2 Sq=3 Sk=70 H=5 D=576 Dv=512 dtype=fp32 form=absorbed Dn=128 Dr=64 mask=causal",
    "mla B=2 Sq=3 Sk=40 H=9 D=71 Dv=63 dtype=fp32 form=absorbed Dn=20 Dr=8 lens=40,3 page=8",
    "mla B=1 Sq=20 Sk=33 H=3 D=70 Dv=41 dtype=fp32 Dr=16 mask=causal sink=learned",
};

}  // namespace

TEST_CASE("fp32 attention agrees with a double loop to a millionth", "[kernels][ffma]") {
  const std::string text = GENERATE(from_range(std::begin(kProblems), std::end(kProblems)));
  CAPTURE(text);
  const test::Errors error = worst(text);
  CHECK(error.o <= kMillionth);
  CHECK(error.lse <= 1);
}

TEST_CASE("a double loop with a slip is told apart", "[kernels][ffma]") {
  struct Told {
    Slip slip;
    const char* text;
  };
  const std::string shape = "gqa B=2 Sq=5 Sk=33 H=4 G=2 D=32 dtype=fp32 ";
  const auto told =
      GENERATE(Told{Slip::last_key, ""}, Told{Slip::last_key, "window=3,4"},
               Told{Slip::next_key, "mask=causal"}, Told{Slip::next_key, "window=-1,3"},
               Told{Slip::next_head, ""}, Told{Slip::no_sink, "sink=one"},
               Told{Slip::no_sink, "sink=learned"}, Told{Slip::no_bias, "alibi=1"},
               Told{Slip::no_bias, "attn_bias=full"}, Told{Slip::no_mask, "attn_mask=head"},
               Told{Slip::bias_before_cap, "softcap=1 attn_bias=head"}, Told{Slip::rounded_p, ""},
               Told{Slip::rough_exponential, ""});
  CAPTURE(told.text);
  CHECK(worst(shape + told.text).o <= kMillionth);
  CHECK(worst(shape + told.text, told.slip).o > 100 * kMillionth);
}

TEST_CASE("with one key of fp32, o is v bit for bit", "[kernels][ffma]") {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=1 H=4 G=2 D=37 Dv=9 dtype=fp32");
  const TensorSet inputs = test::attention_inputs(p);
  const TensorSet outputs = test::run_attention(ffma(), p, inputs);
  for (Index n = 0; n < outputs.at("o").size(); ++n) {
    const Index d = n % 9, g = n / 9 % 4 / 2, b = n / (9 * 4 * 3);
    REQUIRE(outputs.at("o").value(n) == inputs.at("v").value((b * 2 + g) * 9 + d));
  }
}

TEST_CASE("rows of fp32 that see no key are zero, or have only their sink", "[kernels][ffma]") {
  const auto* sink = GENERATE("none", "one", "learned");
  const auto* keys = GENERATE("Sq=40 Sk=33 mask=causal", "Sq=3 Sk=0", "Sq=3 Sk=9 attn_mask=shared",
                              "Sq=3 Sk=9 window=0,-1 mask=causal_top_left lens=9,0");
  const Problem p =
      parse_problem(std::string("mqa B=2 H=3 D=20 Dv=36 dtype=fp32 ") + keys + " sink=" + sink);
  CAPTURE(print(p));
  const TensorSet inputs = test::attention_inputs(p);
  const TensorSet outputs = test::run_attention(ffma(), p, inputs);
  const test::Expected want = test::naive_attention(p, inputs);
  Index empty = 0;
  for (Index n = 0; n < p.B * p.H * p.Sq; ++n) {
    const Index b = n / p.Sq / p.H, h = n / p.Sq % p.H, i = n % p.Sq;
    const auto o = (b * p.Sq + i) * p.H + h;
    if (want.abs_mag[static_cast<std::size_t>(o * p.Dv)] > 0) continue;
    ++empty;
    const double alone = p.sink == Sink::none  ? -kInfinity
                         : p.sink == Sink::one ? 0.0
                                               : inputs.at("sinks").value(h);
    REQUIRE(outputs.at("lse").value(n) == Approx(alone).margin(1e-7));
    for (Index d = 0; d < p.Dv; ++d) REQUIRE(outputs.at("o").value(o * p.Dv + d) == 0);
  }
  CHECK(empty > 0);
  CHECK(test::errors(p, outputs, want).o <= kMillionth);
}

TEST_CASE("zeros of fp32 count the same with either sign", "[kernels][ffma]") {
  const Problem p = parse_problem("mha B=1 Sq=5 Sk=40 H=2 D=20 dtype=fp32 attn_bias=shared");
  TensorSet inputs = test::attention_inputs(p), negative = test::attention_inputs(p);
  for (const char* name : {"q", "k", "v", "attn_bias"})
    for (std::size_t n = 0; n < inputs.at(name).as<float>().size(); n += 3) {
      inputs.at(name).as<float>()[n] = 0.0f;
      negative.at(name).as<float>()[n] = -0.0f;
    }
  CHECK(test::same_bits(test::run_attention(ffma(), p, inputs),
                        test::run_attention(ffma(), p, negative)));
}

TEST_CASE("a NaN of fp32 inputs reaches the rows that read it and no others", "[kernels][ffma]") {
  const std::string name = GENERATE("q", "k", "v", "attn_bias");
  CAPTURE(name);
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=70 H=2 D=20 dtype=fp32 attn_bias=head");
  TensorSet inputs = test::attention_inputs(p);
  inputs.at(name).as<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  const TensorSet outputs = test::run_attention(ffma(), p, inputs);
  CHECK(std::isnan(outputs.at("o").value(5)));
  for (Index d = 0; d < p.Dv; ++d) CHECK(std::isfinite(outputs.at("o").value(p.Dv + d)));  // head 1
}

TEST_CASE("subnormals of fp32 are numbers", "[kernels][ffma]") {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=40 H=1 D=8 dtype=fp32");
  TensorSet inputs = test::attention_inputs(p);
  for (float& v : inputs.at("v").as<float>()) v = 0x1p-140f;
  const TensorSet outputs = test::run_attention(ffma(), p, inputs);
  for (Index d = 0; d < p.Dv; ++d)
    CHECK(outputs.at("o").value(d) == Approx(0x1p-140).epsilon(0.05));
}

TEST_CASE("no schedule of the emulator changes a bit of fp32", "[kernels][ffma]") {
  const auto* text = GENERATE("gqa B=1 Sq=30 Sk=100 H=4 G=2 D=50 dtype=fp32 mask=causal",
                              "mla B=1 Sq=9 Sk=70 H=3 D=71 Dv=63 dtype=fp32 form=absorbed Dn=20 "
                              "Dr=8");
  const Problem p = parse_problem(text);
  const TensorSet inputs = test::attention_inputs(p);
  const TensorSet first = test::run_attention(ffma(), p, inputs);
  for (Schedule schedule : {1, 2, 12345})
    CHECK(test::same_bits(first, test::run_attention(ffma(), p, inputs, schedule)));
}

TEST_CASE("ffma says why it refuses a problem, and what it rounds", "[kernels][ffma]") {
  const auto reason = [](const char* text) { return ffma().supports(parse_problem(text)); };
  CHECK(reason("mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16") == "dtype must be fp32, got bf16");
  CHECK(reason("mha B=1 Sq=1 Sk=1 H=1 D=577 Dv=3 dtype=fp32") ==
        "D must be at most 576, got D=577");
  CHECK(reason("mha B=1 Sq=1 Sk=1 H=1 D=3 Dv=577 dtype=fp32") ==
        "Dv must be at most 576, got Dv=577");
  CHECK(reason("mha B=1 Sq=1 Sk=9 H=4 D=16 dtype=fp32 level=layer E=8") ==
        "level must be core, got layer");
  CHECK(reason("mha B=1 Sq=1 Sk=1 H=1 D=576 Dv=1 dtype=fp32").empty());
  const Descriptor d =
      ffma().descriptor(parse_problem("mha B=2 Sq=9 Sk=300 H=1 D=72 dtype=fp32 lens=65,40"), 1);
  CHECK(d.depth_qk == 16 + 5);  // a chunk of columns, five of them
  CHECK(d.depth_pv == 32 + 3);  // a tile of keys, three of them
  CHECK(d.depth_l == 3 + 5);
  CHECK(d.block_k == 32);
  CHECK(d.p_type == Dtype::fp32);
  CHECK(d.u_acc == 0x1p-24);
}

TEST_CASE("ffma on a GPU agrees with a double loop and with itself", "[kernels][ffma][gpu]") {
  if (device_name(Backend::gpu).empty()) {
    WARN("not run: no GPU");
    return;
  }
  const std::string text = GENERATE(from_range(std::begin(kProblems), std::end(kProblems)));
  CAPTURE(text);
  const Problem p = parse_problem(text);
  const TensorSet inputs = test::attention_inputs(p);
  const Kernel& kernel = find_kernel("ffma", Backend::gpu);
  const TensorSet outputs = test::run_attention(kernel, p, inputs);
  CHECK(test::errors(p, outputs, test::naive_attention(p, inputs)).o <= kMillionth);
  CHECK(test::same_bits(outputs, test::run_attention(kernel, p, inputs)));
}
