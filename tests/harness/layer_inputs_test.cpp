#include "harness/layer_inputs.h"

#include <cmath>
#include <cstring>
#include <set>

#include "cases/stages.h"
#include "harness/inputs.h"
#include "harness/philox.h"
#include "harness/rounding.h"
#include "tests/catch.h"

using namespace attest;

namespace {

double rms(const Tensor& x) {
  double sum = 0;
  for (Index n = 0; n < x.size(); ++n) sum += x.value(n) * x.value(n);
  return std::sqrt(sum / static_cast<double>(x.size()));
}

}  // namespace

TEST_CASE("a layer's inputs are its weights and caches, each drawn from its own stream") {
  const Problem p = parse_problem(
      "gqa B=2 Sq=3 Sk=20 H=8 G=2 D=16 dtype=bf16 level=layer E=72 norm=rms bias=all gate=1 "
      "seed=5");
  const TensorSet inputs = make_inputs(p);
  std::vector<std::string> names;
  for (const Tensor& each : inputs) names.push_back(each.name());
  CHECK(names == input_names(p));
  CHECK(names == std::vector<std::string>{"x", "w_qkv", "b_qkv", "w_q_norm", "w_k_norm", "w_o",
                                          "b_o", "k_cache", "v_cache"});
  const Stream w(5, "w_qkv"), gain(5, "w_q_norm"), x(5, "x");
  CHECK(inputs.at("w_qkv").value(7 * 72 + 11) ==
        round_to(Dtype::bf16, w.at(0, 7, 0, 11).normal() / 8));  // 2^3 is next to sqrt(72)
  CHECK(inputs.at("w_q_norm").value(9) ==
        round_to(Dtype::bf16, 1 + gain.at(0, 0, 0, 9).normal() / 8));
  CHECK(inputs.at("x").value((1 * 3 + 2) * 72 + 4) ==
        round_to(Dtype::bf16, x.at(1, 2, 0, 4).normal()));
}

TEST_CASE("projections of a layer keep the scale of what enters, whatever their width") {
  for (const char* E : {"8", "64", "100", "200"}) {
    CAPTURE(E);
    const Problem p =
        parse_problem(std::string("mha B=1 Sq=2 Sk=2 H=4 D=16 dtype=fp16 level=layer E=") + E);
    const double scale =
        rms(make_inputs(p).at("w_qkv")) * std::sqrt(static_cast<double>(p.layer.E));
    CHECK(scale > 0.65);
    CHECK(scale < 1.5);
  }
}

TEST_CASE("a zero-centered norm weight lies around zero") {
  const Problem p =
      parse_problem("mha B=1 Sq=1 Sk=1 H=2 D=64 dtype=fp16 level=layer E=8 norm=rms_zero_centered");
  CHECK(rms(make_inputs(p).at("w_k_norm")) < 0.25);
}

TEST_CASE("rows of earlier tokens are drawn, those of new ones and behind them are NaN") {
  for (const char* page : {"", " page=8"}) {
    CAPTURE(page);
    const Problem p = parse_problem(
        std::string(
            "mla B=2 Sq=3 Sk=20 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Dr=8 lens=20,7") +
        page);
    const TensorSet inputs = make_inputs(p);
    const Tensor& cache = inputs.at("latent_cache");
    for (Index b = 0; b < p.B; ++b)
      for (Index j = 0; j < p.length(b); ++j) {
        Index row = b * p.Sk + j;
        if (p.page > 0) {
          const auto table = inputs.at("block_table").as<std::int32_t>();
          row = table[static_cast<std::size_t>(b * p.table_width() + j / 8)] * 8 + j % 8;
        }
        CHECK(std::isnan(cache.value(row * 56 + 55)) == (j >= cached_tokens(p, b)));
      }
    Index filled = 0;
    for (Index row = 0; row < cache.size() / 56; ++row)
      filled += !std::isnan(cache.value(row * 56));
    CHECK(filled == 17 + 4);
    CHECK(inputs.at("seqlens_k").as<std::int32_t>()[1] == 7);
  }
}

TEST_CASE("outputs of a layer start as NaN, its caches as they were") {
  const Problem p = parse_problem("mqa B=1 Sq=2 Sk=9 H=4 D=16 dtype=bf16 level=layer E=24 page=8");
  const TensorSet inputs = make_inputs(p);
  const TensorSet outputs = empty_layer_outputs(p, inputs);
  CHECK(std::isnan(outputs.at("y").value(3)));
  CHECK(outputs.at("k_cache").sha256() == inputs.at("k_cache").sha256());
  CHECK(outputs.at("k_cache").bytes().data() != inputs.at("k_cache").bytes().data());
}
