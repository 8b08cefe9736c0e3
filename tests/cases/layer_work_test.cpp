// Operations and bytes of whole layers, with numbers worked out by hand.
#include "cases/layer_work.h"

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

LayerWork work(const std::string& text) { return layer_work(parse_problem(text)); }

}  // namespace

TEST_CASE("a decode layer of LLaMA-3-8B multiplies by 41.9 million weights and reads its cache") {
  const LayerWork w = work(
      "gqa B=2 Sq=1 Sk=100 H=32 G=8 D=128 dtype=bf16 level=layer E=4096 rope=default:theta:500000");
  // w_qkv [6144, 4096] and w_o [4096, 4096]; q k^T and p v of 32 heads over 100 keys.
  constexpr double kWeights = 6144.0 * 4096 + 4096.0 * 4096;
  CHECK(w.flops == 2 * 2 * kWeights + 2.0 * 2 * 32 * (128 + 128) * 100);
  // x and y [2, 4096]; k and v of 100 tokens, 8 heads of 128.
  CHECK(w.bytes == 2 * (kWeights + 2 * 2 * 4096 + 2 * 100 * 8 * (128 + 128)));
}

TEST_CASE("lengths count for the core, for rows of caches and for what is expanded of them") {
  const std::string rest =
      "mla B=2 Sq=1 Sk=65 H=4 G=4 D=24 Dv=40 dtype=fp16 level=layer E=72 L=48 Lq=32 Dr=8 "
      "lens=65,30";
  // w_dq [32,72], w_uq [96,32], w_dkv [56,72], w_o [72,160] take 2 rows; w_ukv [4 (16 + 40), 48].
  constexpr double kOfTokens = 32 * 72 + 96 * 32 + 56 * 72 + 72 * 160, kUkv = 224 * 48;
  const LayerWork expanded = work(rest), absorbed = work(rest + " form=absorbed");
  CHECK(expanded.flops == 2 * 2 * kOfTokens + 2 * 95 * kUkv + 2.0 * 4 * (24 + 40) * 95);
  CHECK(absorbed.flops == 2 * 2 * kOfTokens + 2 * 2 * kUkv + 2.0 * 4 * (56 + 48) * 95);
  // Beside the matrices: w_q_norm [32] and w_kv_norm [48], x and y [2, 72], 95 latents of 56.
  CHECK(expanded.bytes == 2 * (kOfTokens + kUkv + 32 + 48 + 2 * 2 * 72 + 95 * 56));
  CHECK(absorbed.bytes == expanded.bytes);
}

TEST_CASE("pages, biases and gates change what a layer reads by their own bytes") {
  const std::string plain =
      "gqa B=2 Sq=4 Sk=20 H=8 G=2 D=16 dtype=bf16 level=layer E=40 mask=causal";
  const LayerWork without = work(plain), paged = work(plain + " page=8");
  CHECK(paged.bytes == without.bytes);
  CHECK(paged.flops == without.flops);
  const LayerWork biased = work(plain + " bias=all");
  CHECK(biased.flops == without.flops);
  CHECK(biased.bytes - without.bytes == 2 * ((8 + 2 * 2) * 16 + 40));
  const LayerWork gated = work(plain + " gate=1");  // 8 x 16 rows more of w_qkv
  CHECK(gated.flops - without.flops == 2.0 * 2 * 4 * (8 * 16) * 40);
  CHECK(gated.bytes - without.bytes == 2 * (8 * 16) * 40);
}

TEST_CASE("the work of a layer is asked of layers only") {
  CHECK_THROWS_AS(work("mha B=1 Sq=1 Sk=1 H=1 D=8 dtype=bf16"), Error);
}
