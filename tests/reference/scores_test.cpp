#include <cmath>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"

using namespace attest;

namespace {

Tensor tensor(const char* name, std::vector<Index> shape, std::vector<double> values) {
  Tensor x(name, Dtype::fp64, "BSHD", std::move(shape));
  std::copy(values.begin(), values.end(), x.as<double>().begin());
  return x;
}

/// One query (1, 0) and the keys (a, 0), (b, 0), whose values are 1 and 0: o is the weight of the
/// first.
Truth of_two_keys(const std::string& more, double a, double b) {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=2 H=1 D=2 Dv=1 dtype=fp64" + more);
  TensorSet inputs;
  inputs.add(tensor("q", {1, 1, 1, 2}, {1, 0}));
  inputs.add(tensor("k", {1, 2, 1, 2}, {a, 0, b, 0}));
  inputs.add(tensor("v", {1, 2, 1, 1}, {1, 0}));
  return reference::attend(p, inputs, reference::Emit::outputs);
}

double capped(double cap, double score) { return cap * std::tanh(score / cap); }

}  // namespace

TEST_CASE("a softcap bends scores after their scale and before the softmax") {
  for (const auto& [a, b] : {std::pair{3.0, -1.0}, {40.0, 39.0}, {0.25, 0.125}}) {
    const double first = capped(5, a / std::sqrt(2.0)), second = capped(5, b / std::sqrt(2.0));
    const Truth truth = of_two_keys(" softcap=5", a, b);
    CAPTURE(a, b);
    CHECK(truth.outputs.at("o").value(0) ==
          Approx(1 / (1 + std::exp(second - first))).epsilon(1e-14));
    CHECK(truth.outputs.at("lse").value(0) ==
          Approx(std::log(std::exp(first) + std::exp(second))).epsilon(1e-14));
  }
}

TEST_CASE("an explicit scale takes the place of the one that widths give, mscale included") {
  const Truth truth = of_two_keys(" scale=0.25", 3, -1);
  CHECK(truth.outputs.at("o").value(0) == Approx(1 / (1 + std::exp(-1.0))).epsilon(1e-14));
  CHECK(reference::softmax_scale(
            parse_problem("mla B=1 Sq=1 Sk=2 H=3 D=64 dtype=bf16 Dr=8 "
                          "rope=yarn:factor:40,orig:4096,mscale_all_dim:1 scale=0.5")) == 0.5);
}

TEST_CASE("a high softcap is none, one far below the scores makes them signs") {
  CHECK(of_two_keys(" softcap=10000", 3, -1).outputs.at("o").value(0) ==
        Approx(of_two_keys("", 3, -1).outputs.at("o").value(0)).epsilon(1e-7));
  CHECK(of_two_keys(" softcap=0.5", 300, -100).outputs.at("o").value(0) ==
        Approx(1 / (1 + std::exp(-1.0))).epsilon(1e-14));
}

TEST_CASE("a sink takes its share of the weights and none of the values") {
  // Scores 3 / sqrt(2) and -1 / sqrt(2): o of the softmax without it times sigmoid(lse - sink).
  const Truth plain = of_two_keys("", 3, -1), one = of_two_keys(" sink=one", 3, -1);
  const double lse = plain.outputs.at("lse").value(0);
  CHECK(one.outputs.at("o").value(0) ==
        Approx(plain.outputs.at("o").value(0) / (1 + std::exp(-lse))).epsilon(1e-14));
  CHECK(one.outputs.at("lse").value(0) == Approx(std::log(std::exp(lse) + 1)).epsilon(1e-14));
}

TEST_CASE("a row without keys has o = 0 and the sink as lse") {
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=1 H=1 D=2 dtype=fp64 mask=causal sink=one");
  TensorSet inputs;
  for (const char* name : {"q", "k", "v"})
    inputs.add(tensor(name, {1, name[0] == 'q' ? 2 : 1, 1, 2},
                      std::vector<double>(name[0] == 'q' ? 4 : 2, 1.0)));
  const Truth truth = reference::attend(p, inputs, reference::Emit::outputs_and_conditioning);
  CHECK(truth.outputs.at("o").value(0) == 0);
  CHECK(truth.outputs.at("lse").value(0) == 0);
  CHECK(truth.conditioning.at("visible").value(0) == 1);
  CHECK(truth.conditioning.at("visible").value(1) == 2);
}

TEST_CASE("a bias of NaN or +inf is refused, and a mask of another type") {
  const Problem p =
      parse_problem("mha B=1 Sq=1 Sk=2 H=1 D=2 Dv=1 dtype=fp64 attn_bias=full attn_mask=full");
  TensorSet inputs;
  inputs.add(tensor("q", {1, 1, 1, 2}, {1, 0}));
  inputs.add(tensor("k", {1, 2, 1, 2}, {1, 0, 0, 1}));
  inputs.add(tensor("v", {1, 2, 1, 1}, {1, 0}));
  Tensor& bias = inputs.add(tensor("attn_bias", {1, 1, 1, 2}, {0, HUGE_VAL}));
  const auto refusal = [&] {
    try {
      reference::attend(p, inputs, reference::Emit::outputs);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(refusal().starts_with("reference: attn_bias must be finite or -inf, got inf"));
  bias.as<double>()[1] = NAN;
  CHECK(refusal().starts_with("reference: attn_bias must be finite or -inf, got "));
  bias.as<double>()[1] = -HUGE_VAL;
  inputs.add(tensor("attn_mask", {1, 1, 1, 2}, {0, 0}));
  CHECK(refusal().starts_with("reference: attn_mask must be bool of shape 1x1x1x2, got fp64"));
}
