#include "cases/layout.h"

#include <array>
#include <cstring>

#include "cases/error.h"
#include "cases/inputs.h"
#include "tests/catch.h"

using namespace attest;

namespace {

/// [2, 3, 4, 5] whose element (b, s, h, d) is 1000 b + 100 s + 10 h + d.
Tensor numbered() {
  Tensor x("q", Dtype::fp32, "BSHD", {2, 3, 4, 5});
  Index n = 0;
  for (float& value : x.as<float>()) {
    value = static_cast<float>(1000 * (n / 60) + 100 * (n / 20 % 3) + 10 * (n / 5 % 4) + n % 5);
    ++n;
  }
  return x;
}

std::string refusal(const std::string& text) {
  try {
    parse_problem(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a tensor stored in another order holds the same elements at the same indices") {
  const Tensor x = numbered();
  for (const std::string order : {"SBHD", "BHSD", "BSHD"}) {
    const Tensor y = stored_as(x, order);
    CHECK(y.layout() == order);
    const TensorView back = rearranged(y, "BSHD");
    CHECK(back.shape == x.shape());
    for (const std::array<Index, 4> index : {std::array<Index, 4>{1, 2, 3, 4}, {0, 1, 0, 2}}) {
      float value = 0;
      std::memcpy(&value, back.at(index), sizeof value);
      CHECK(static_cast<Index>(value) ==
            1000 * index[0] + 100 * index[1] + 10 * index[2] + index[3]);
    }
  }
  CHECK(stored_as(x, "SBHD").shape() == std::vector<Index>{3, 2, 4, 5});
  CHECK_THROWS_AS(rearranged(x, "BSH"), Error);
}

TEST_CASE("a layout orders the axes of q, k, v and o, or puts them in one tensor") {
  const Problem p = parse_problem(
      "gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 Dv=16 dtype=bf16 layout=sbhd lens=9,4 mask=causal");
  CHECK(print(p) ==
        "gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 Dv=16 dtype=bf16 layout=sbhd lens=9,4 mask=causal");
  const std::vector<TensorSpec> in = inputs_of(p), out = outputs_of(p);
  CHECK(in.at(0).shape == std::vector<Index>{3, 2, 4, 8});
  CHECK(in.at(2).shape == std::vector<Index>{9, 2, 2, 16});
  CHECK(out.at(0).shape == std::vector<Index>{3, 2, 4, 16});
  CHECK(out.at(1).shape == std::vector<Index>{2, 4, 3});
  const auto fused =
      inputs_of(parse_problem("gqa B=2 Sq=3 Sk=3 H=4 G=2 D=8 dtype=bf16 layout=qkv"));
  REQUIRE(fused.size() == 1);
  CHECK(fused.at(0).shape == std::vector<Index>{2, 3, 8, 8});
}

TEST_CASE("a layout that cannot be is refused") {
  const std::string shape = "gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 dtype=bf16";
  CHECK(refusal(shape + " layout=bdsh").starts_with("layout: must be one of"));
  CHECK(refusal(shape + " layout=qkv").find("Sq = Sk, D = Dv, no lens, no kv; got Sq=3 Sk=9") !=
        std::string::npos);
  CHECK(refusal(shape + " layout=sbhd page=8").ends_with("got a layer, a latent cache or pages"));
}
