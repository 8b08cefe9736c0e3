#include <cmath>
#include <iterator>
#include <string>

#include "tests/catch.h"
#include "tests/cuda/kernels_support.h"

// Every emulated kernel against a plain double loop, and what must hold of any run.

using namespace attest;

namespace {

const Kernel& emulated(const char* name) { return find_kernel(name, Backend::emu); }

/// P rounded to the dtype costs u A, o rounded to it u |o|; the rest is noise of fp32.
void check_close(const Problem& p, const TensorSet& outputs, const test::Expected& want) {
  const test::Errors worst = test::errors(p, outputs, want);
  CHECK(worst.o <= 1.05);
  CHECK(worst.lse <= 10);
}

constexpr const char* kShapes[] = {
    "B=1 Sq=64 Sk=64 H=2 G=2 D=64",      "B=2 Sq=100 Sk=333 H=4 G=2 D=64",
    "B=1 Sq=129 Sk=80 H=2 G=1 D=64",     "B=1 Sq=100 Sk=30 H=2 G=2 D=128",
    "B=1 Sq=65 Sk=64 H=3 G=1 D=128",     "B=2 Sq=3 Sk=130 H=14 G=2 D=64",
    "B=1 Sq=16 Sk=200 H=4 G=1 D=128",    "B=1 Sq=40 Sk=100 H=4 G=4 D=192 Dv=128",
    "B=1 Sq=1 Sk=257 H=8 G=1 D=128",     "B=1 Sq=30 Sk=70 H=4 G=2 D=72 Dv=40",
    "B=1 Sq=5 Sk=90 H=2 G=1 D=8 Dv=128", "B=1 Sq=5 Sk=190 H=2 G=1 D=136 Dv=64",
};

}  // namespace

TEST_CASE("kernels agree with a double loop over shapes, masks and types", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* shape = GENERATE(from_range(std::begin(kShapes), std::end(kShapes)));
  const auto* mask = GENERATE("none", "causal", "causal_top_left");
  const auto* dtype = GENERATE("bf16", "fp16");
  const Problem p =
      parse_problem(std::string("gqa ") + shape + " dtype=" + dtype + " mask=" + mask);
  if (!emulated(kernel).supports(p).empty()) return;
  CAPTURE(kernel, print(p));
  const TensorSet inputs = test::noise_inputs(p);
  check_close(p, test::run(emulated(kernel), p, inputs), test::expected(p, inputs));
}

TEST_CASE("decode gives the same answer for every number of splits", "[kernels]") {
  const Index splits = GENERATE(1, 2, 3, 4, 99, 256);
  const auto* text = GENERATE("gqa B=1 Sq=1 Sk=450 H=14 G=2 D=64 dtype=bf16",
                              "mqa B=1 Sq=6 Sk=330 H=7 D=128 dtype=fp16 mask=causal",
                              "mqa B=2 Sq=9 Sk=150 H=2 D=64 dtype=bf16 mask=causal_top_left",
                              "mha B=1 Sq=12 Sk=5 H=1 D=64 dtype=bf16 mask=causal");
  CAPTURE(splits, text);
  const Problem p = parse_problem(text);
  const TensorSet inputs = test::noise_inputs(p);
  check_close(p, test::run(emulated("decode"), p, inputs, splits), test::expected(p, inputs));
}

TEST_CASE("no schedule of the emulator changes a bit", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* text = GENERATE("gqa B=1 Sq=70 Sk=200 H=2 G=1 D=64 dtype=bf16 mask=causal",
                              "gqa B=1 Sq=3 Sk=300 H=4 G=1 D=128 dtype=fp16");
  CAPTURE(kernel, text);
  const Problem p = parse_problem(text);
  const TensorSet inputs = test::noise_inputs(p);
  const TensorSet first = test::run(emulated(kernel), p, inputs, 2);
  check_close(p, first, test::expected(p, inputs));
  for (Schedule schedule : {0, 1, 2, 3, 12345}) {
    CAPTURE(schedule);
    CHECK(test::same_bits(first, test::run(emulated(kernel), p, inputs, 2, schedule)));
  }
}

TEST_CASE("kernels write every output and nothing beside them", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* text = GENERATE("gqa B=2 Sq=5 Sk=67 H=6 G=2 D=40 Dv=24 dtype=bf16 mask=causal",
                              "mha B=1 Sq=81 Sk=9 H=1 D=64 dtype=fp16 mask=causal_top_left",
                              "gqa B=1 Sq=3 Sk=70 H=10 G=2 D=192 Dv=8 dtype=bf16");
  CAPTURE(kernel, text);
  const Problem p = parse_problem(text);
  const TensorSet inputs = test::noise_inputs(p);
  const TensorSet outputs = test::run(emulated(kernel), p, inputs, 3);
  for (const Tensor& tensor : outputs) {
    CHECK(tensor.canary_intact());
    Index poisoned = 0;
    for (Index n = 0; n < tensor.size(); ++n) poisoned += tensor.value(n) != tensor.value(n);
    CHECK(poisoned == 0);
  }
  for (const Tensor& tensor : inputs) CHECK(tensor.canary_intact());
}

TEST_CASE("a NaN of the inputs reaches the outputs", "[kernels]") {
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* poisoned = GENERATE("q", "k", "v");
  CAPTURE(kernel, poisoned);
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=70 H=1 D=64 dtype=bf16");
  TensorSet inputs = test::noise_inputs(p);
  inputs.at(poisoned).as<std::uint16_t>()[5] = 0x7fc0;
  const TensorSet outputs = test::run(emulated(kernel), p, inputs, 2);
  CHECK(std::isnan(outputs.at("o").value(5)));
}

TEST_CASE("kernels say why they refuse a problem", "[kernels]") {
  const auto reason = [](const char* kernel, const char* text) {
    return emulated(kernel).supports(parse_problem(text));
  };
  const auto* kernel = GENERATE("prefill", "decode");
  CHECK(reason(kernel, "mha B=1 Sq=1 Sk=1 H=1 D=60 dtype=bf16") ==
        "D must be a multiple of 8, got D=60");
  CHECK(reason(kernel, "mha B=1 Sq=1 Sk=1 H=1 D=64 Dv=4 dtype=bf16") ==
        "Dv must be a multiple of 8, got Dv=4");
  CHECK(reason(kernel, "mha B=1 Sq=1 Sk=1 H=1 D=256 Dv=64 dtype=bf16") ==
        "D must be at most 192, got D=256");
  CHECK(reason(kernel, "mha B=1 Sq=1 Sk=1 H=1 D=64 Dv=192 dtype=fp16") ==
        "Dv must be at most 128, got Dv=192");
  CHECK(reason(kernel, "mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=fp32") ==
        "dtype must be bf16 or fp16, got fp32");
  CHECK(reason(kernel, "mha B=1 Sq=1 Sk=1 H=1 D=192 Dv=128 dtype=fp16").empty());
  CHECK(reason("decode", "mqa B=1 Sq=33 Sk=1 H=8 D=64 dtype=bf16") ==
        "H / G * Sq must be at most 256, got 264; a longer query belongs to prefill");
}

TEST_CASE("descriptors count what the kernels do", "[kernels]") {
  const Problem p =
      parse_problem("mha B=1 Sq=200 Sk=300 H=1 D=72 Dv=40 dtype=fp16 mask=causal_top_left");
  const Descriptor prefill = emulated("prefill").descriptor(p, 1);
  CHECK(prefill.chain_qk == 8);       // capacity 128: eight mma
  CHECK(prefill.depth_qk == 8 * 17);  // of sixteen products and the accumulator each
  CHECK(prefill.chain_pv == 16);      // 200 visible keys in 4 tiles of 4 mma
  CHECK(prefill.depth_pv == 16 * 17);
  CHECK(prefill.depth_l == 16 + 4 + 2);  // a lane's 16 p of a tile, 4 tiles, 2 shuffles
  CHECK(prefill.block_k == 64);
  CHECK(prefill.splits == 1);
  CHECK(prefill.p_type == Dtype::fp16);
  const Descriptor decode = emulated("decode").descriptor(p, 2);
  CHECK(decode.chain_pv == 3);  // 5 tiles in 2 splits: at most 3, one mma a warp each
  CHECK(decode.depth_pv == 3 * 17);
  CHECK(decode.depth_l == 4 + 3 + 2);
  CHECK(decode.block_k == 16);
  CHECK(decode.splits == 8);  // four warps a split
}

TEST_CASE("decode cuts long caches into more parts than short ones", "[kernels]") {
  const auto splits = [](const char* text, Index requested) {
    return emulated("decode").splits(parse_problem(text), requested);
  };
  CHECK(splits("mha B=1 Sq=1 Sk=0 H=8 D=64 dtype=bf16", 0) == 1);
  CHECK(splits("mha B=1 Sq=1 Sk=100 H=8 D=64 dtype=bf16", 0) == 1);
  CHECK(splits("mha B=1 Sq=1 Sk=4096 H=8 D=64 dtype=bf16", 0) == 16);    // four tiles a part
  CHECK(splits("mha B=1 Sq=1 Sk=131072 H=8 D=64 dtype=bf16", 0) == 33);  // 264 blocks in all
  CHECK(splits("mha B=64 Sq=1 Sk=16384 H=8 D=64 dtype=bf16", 0) == 1);
  CHECK(splits("mha B=1 Sq=1 Sk=100 H=8 D=64 dtype=bf16", 7) == 7);
  CHECK(emulated("prefill").splits(parse_problem("mha B=1 Sq=9 Sk=99 H=1 D=64 dtype=bf16"), 5) ==
        1);
}
