#include <algorithm>

#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using reference::Emit;

namespace {

Truth attend(const Problem& problem, const TensorSet& inputs) {
  return reference::attend(problem, inputs, Emit::outputs_and_conditioning);
}

void check_same_bits(const TensorSet& got, const TensorSet& want) {
  REQUIRE(got.size() == want.size());
  for (const Tensor& tensor : want) {
    CAPTURE(tensor.name());
    CHECK(std::ranges::equal(got.at(tensor.name()).bytes(), tensor.bytes()));
  }
}

void check_same_bits(const Truth& got, const Truth& want) {
  check_same_bits(got.outputs, want.outputs);
  check_same_bits(got.conditioning, want.conditioning);
}

/// H / G copies of each head of x [B, S, G, width]: [B, S, H, width].
Tensor repeat_heads(const Tensor& x, Index H) {
  const auto old = x.as<double>();
  const Index S = x.shape()[1], G = x.shape()[2], width = x.shape()[3];
  return naive::tensor(x.name().c_str(), {x.shape()[0], S, H, width},
                       [&](Index b, Index s, Index h, Index d) {
                         const Index g = h / (H / G);
                         return old[std::size_t(((b * S + s) * G + g) * width + d)];
                       });
}

}  // namespace

TEST_CASE("H / G neighbouring query heads share a key/value head") {
  struct Heads {
    const char* text;
    Index H, G;
  };
  const auto [text, H, G] = GENERATE(values<Heads>({
      {"mha B=2 Sq=2 Sk=3 H=8 D=2 dtype=fp64", 8, 8},
      {"gqa B=2 Sq=2 Sk=3 H=8 G=8 D=2 dtype=fp64", 8, 8},
      {"gqa B=2 Sq=2 Sk=3 H=8 G=4 D=2 dtype=fp64", 8, 4},
      {"gqa B=2 Sq=2 Sk=3 H=14 G=2 D=2 dtype=fp64", 14, 2},
      {"gqa B=2 Sq=2 Sk=3 H=16 G=2 D=2 dtype=fp64", 16, 2},
      {"gqa B=2 Sq=2 Sk=3 H=8 G=1 D=2 dtype=fp64", 8, 1},
      {"mqa B=2 Sq=2 Sk=3 H=8 D=2 dtype=fp64", 8, 1},
  }));
  CAPTURE(text);
  const Problem p = parse_problem(text);
  const auto one = [](Index, Index, Index, Index) { return 1.0; };
  const auto key = [](Index, Index, Index g, Index) { return double(g); };
  const auto value = [](Index b, Index, Index g, Index) { return double(100 * b + g); };
  const Truth t = attend(p, naive::inputs(p, one, key, value));
  const double scale = (1 / std::sqrt(static_cast<double>(p.D)));
  for (Index b = 0; b < 2; ++b)
    for (Index i = 0; i < 2; ++i)
      for (Index h = 0; h < H; ++h) {
        const double g = std::floor(double(h) * double(G) / double(H)), v = 100 * double(b) + g;
        CAPTURE(b, i, h);
        CHECK(t.outputs.at("o").value(((b * 2 + i) * H + h) * 2) == Approx(v).epsilon(1e-15));
        CHECK(t.conditioning.at("row_max").value((b * H + h) * 2 + i) ==
              Approx(2 * g * scale).epsilon(1e-15));
        CHECK(t.conditioning.at("visible_abs_v").value(((b * 2 + i) * H + h) * 2) == 3 * v);
        CHECK(t.conditioning.at("max_a").value((b * H + h) * 2 + i) ==
              Approx(2 * g * scale).epsilon(1e-15));
      }
}

TEST_CASE("gqa with G = H is mha, bit for bit") {
  const Problem mha = parse_problem("mha B=2 Sq=70 Sk=75 H=3 D=20 Dv=12 dtype=fp64 mask=causal");
  Problem gqa = mha;
  gqa.variant = Variant::gqa;
  const TensorSet in = naive::random_inputs(mha);
  check_same_bits(attend(gqa, in), attend(mha, in));
}

TEST_CASE("gqa with G = 1 is mqa, bit for bit") {
  const Problem mqa = parse_problem("mqa B=2 Sq=70 Sk=75 H=3 D=20 Dv=12 dtype=fp64 mask=causal");
  Problem gqa = mqa;
  gqa.variant = Variant::gqa;
  const TensorSet in = naive::random_inputs(mqa);
  check_same_bits(attend(gqa, in), attend(mqa, in));
}

TEST_CASE("gqa is mha on repeated heads, bit for bit") {
  const Index G = GENERATE(1, 2, 3, 6);
  Problem gqa = parse_problem("gqa B=2 Sq=9 Sk=17 H=6 G=2 D=16 Dv=8 dtype=fp64 mask=causal");
  gqa.G = G;
  Problem mha = gqa;
  mha.variant = Variant::mha;
  mha.G = mha.H;
  const TensorSet in = naive::random_inputs(gqa);
  TensorSet repeated;
  repeated.add(in.at("q"));
  repeated.add(repeat_heads(in.at("k"), mha.H));
  repeated.add(repeat_heads(in.at("v"), mha.H));
  check_same_bits(attend(gqa, in), attend(mha, repeated));
}
