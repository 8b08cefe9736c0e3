#include "cuda/kernels/rope_append.h"

#include <string>

#include "cuda/kernels/layer_params.h"
#include "cuda/kernels/rope_table.h"
#include "tests/catch.h"
#include "tests/cuda/naive_layer.h"

using namespace attest;

namespace {

/// The tensors of a layer whose stages before rope_append left noise.
struct Append {
  Problem p;
  TensorSet inputs = test::layer_inputs(p), outputs = test::layer_outputs_before(p, inputs);

  explicit Append(const std::string& problem) : p(parse_problem(problem)) {
    for (const char* name : {"qkv", "q", "kv_down", "c_q"})
      if (outputs.find(name)) {
        const Tensor noise = test::noise_tensor(name, p.dtype, outputs.at(name).shape(), 2);
        std::ranges::copy(noise.bytes(), outputs.at(name).bytes().begin());
      }
  }
  test::LayerRun layer() const { return {p, inputs, outputs}; }

  PointerOf pointers(RopeTable& table) {
    return [&](std::string_view name) -> void* {
      if (name == "cos") return table.cos.data();
      if (name == "sin") return table.sin.data();
      if (outputs.find(name)) return outputs.at(name).bytes().data();
      return inputs.find(name) ? inputs.at(name).bytes().data() : nullptr;
    };
  }
  void run() {
    RopeTable table = rope_table(p);
    ATTEST_BACKEND::launch_rope_append(p.dtype, rope_append_params(p, pointers(table)));
  }
  bool intact() const {
    for (const Tensor& tensor : outputs)
      if (!tensor.canary_intact()) return false;
    return true;
  }
};

const std::string kHeads = "gqa B=2 Sq=3 Sk=21 H=6 G=2 D=40 level=layer E=8 mask=causal ";
const std::string kLatent =
    "mla B=2 Sq=3 Sk=21 H=3 D=40 Dv=24 level=layer E=8 L=72 Dr=16 mask=causal ";

}  // namespace

TEST_CASE("new tokens are normed, turned and appended to the cache", "[rope_append]") {
  const std::string dtype = GENERATE("dtype=bf16 ", "dtype=fp16 ");
  const std::string norm = GENERATE("", "norm=rms ", "norm=rms_zero_centered ", "norm=l2 ",
                                    "norm=layer eps=0.001 ", "norm=rms gate=1 ");
  const std::string rope = GENERATE("", "rope=default ", "rope=default:pairing:interleaved ",
                                    "rope=linear:dim:24,factor:4,pairing:deinterleave ",
                                    "rope=yarn:dim:8,factor:40,orig:4096 ");
  const std::string cache = GENERATE("", "page=8 ", "lens=21,5 ", "page=4 lens=3,17 ");
  Append append(kHeads + dtype + norm + rope + cache);
  CAPTURE(print(append.p));
  append.run();
  CHECK(test::worst_append(append.layer()) <= 1);
  CHECK(append.intact());
}

TEST_CASE("latents are normed, their rotary key is turned and not normed", "[rope_append]") {
  const std::string dtype = GENERATE("dtype=bf16 ", "dtype=fp16 ");
  const std::string form = GENERATE("", "form=absorbed ");
  const std::string rope =
      GENERATE("", "rope=default:pairing:interleaved ", "rope=default:dim:8 ",
               "rope=yarn:factor:40,orig:4096,mscale_all_dim:0.707,pairing:deinterleave ");
  const std::string cache = GENERATE("", "page=8 ", "lens=21,5 ", "page=4 lens=3,17 ");
  Append append(kLatent + dtype + form + rope + cache);
  CAPTURE(print(append.p));
  append.run();
  CHECK(test::worst_append(append.layer()) <= 1);
  CHECK(append.intact());
}

TEST_CASE("no order of warps changes what is appended", "[rope_append]") {
  const std::string problem =
      GENERATE(kHeads + "dtype=bf16 norm=layer gate=1 rope=default page=8 lens=21,9",
               kLatent + "dtype=fp16 rope=default page=8");
  Append first(problem);
  first.run();
  for (const Schedule schedule : {1, 4711}) {
    const test::WithSchedule scope(schedule);
    Append other(problem);
    other.run();
    for (const Tensor& tensor : first.outputs)
      CHECK(test::same_bits(tensor, other.outputs.at(tensor.name())));
  }
}

TEST_CASE("mistakes of the append are far outside the bound", "[rope_append]") {
  using test::Mistake;
  Append heads(kHeads + "dtype=bf16 norm=rms rope=default");
  heads.run();
  for (const Mistake mistake : {Mistake::turned_twice, Mistake::turned_before_norm,
                                Mistake::other_pairing, Mistake::next_position, Mistake::no_norm})
    CHECK(test::worst_append(heads.layer(), mistake) > 10);
  Append latents(kLatent + "dtype=bf16 rope=default:pairing:interleaved");
  latents.run();
  for (const Mistake mistake :
       {Mistake::turned_twice, Mistake::other_pairing, Mistake::next_position, Mistake::no_norm})
    CHECK(test::worst_append(latents.layer(), mistake) > 10);
}

TEST_CASE("a write beside the new rows of a cache is seen", "[rope_append]") {
  Append append(kHeads + "dtype=bf16 page=8 lens=21,9");
  append.run();
  auto bits = append.outputs.at("k_cache").as<std::uint16_t>();
  const Index spare = append.p.pool_pages() * append.p.page - 1;
  CHECK(test::worst_append(append.layer()) <= 1);
  bits[static_cast<std::size_t>(append.layer().slot(0, 2) * append.p.G * append.p.D)] ^= 1;
  CHECK(test::worst_append(append.layer()) > 1);
  bits[static_cast<std::size_t>(append.layer().slot(0, 2) * append.p.G * append.p.D)] ^= 1;
  CHECK(test::worst_append(append.layer()) <= 1);
  bits[static_cast<std::size_t>(spare * append.p.G * append.p.D)] = 0;
  CHECK(test::worst_append(append.layer()) > 1);
}
