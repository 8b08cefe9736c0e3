#include "harness/bench_problems.h"

#include "cases/error.h"

namespace attest {
namespace {

using Cases = std::vector<std::string>;

/// One case a mask, B Sq Sk as given: `rest` says heads and widths.
void add_prefill(Cases& cases, Index B, Index S, const std::string& variant,
                 const std::string& rest) {
  for (const char* mask : {"", " mask=causal"})
    cases.push_back(concat(variant, " B=", B, " Sq=", S, " Sk=", S, ' ', rest, " dtype=bf16", mask,
                           " | kernel=prefill"));
}

void add_decode(Cases& cases, Index B, Index Sk, const std::string& variant,
                const std::string& rest) {
  cases.push_back(
      concat(variant, " B=", B, " Sq=1 Sk=", Sk, ' ', rest, " dtype=bf16 | kernel=decode"));
}

/// LLaMA-3-8B and DeepSeek-V3: decode layers (the last of four tokens, as with speculation) and one
/// of a prompt each. MLA takes a prompt in expanded form, absorbed would cost three times as much.
void add_layers(Cases& cases) {
  const std::string llama =
      " H=32 G=8 D=128 dtype=bf16 level=layer E=4096 rope=default:theta:500000 mask=causal";
  const std::string deepseek =
      " H=128 G=128 D=192 Dv=128 dtype=bf16 level=layer E=7168 L=512 Lq=1536 Dr=64 mask=causal "
      "rope=yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1";
  const std::string end = " | kernel=layer";
  for (const Index B : {1, 16}) cases.push_back(concat("gqa B=", B, " Sq=1 Sk=4096", llama, end));
  cases.push_back("gqa B=1 Sq=4096 Sk=4096" + llama + end);
  for (const Index B : {1, 16})
    cases.push_back(concat("mla B=", B, " Sq=1 Sk=4096", deepseek, " form=absorbed", end));
  cases.push_back("mla B=16 Sq=4 Sk=4096" + deepseek + " form=absorbed" + end);
  cases.push_back("mla B=1 Sq=4096 Sk=4096" + deepseek + end);
}

Cases gpu_problems() {
  Cases cases;
  // The figures of FlashAttention-2 and -3: 16384 tokens, model width 2048.
  for (const Index D : {64, 128})
    for (Index S = 512; S <= 16384; S *= 2)
      add_prefill(cases, 16384 / S, S, "mha", concat("H=", 2048 / D, " D=", D));
  // The tables of cuDNN: Llama 3.1 and, with 128 heads, DeepSeek-V3.
  for (Index S = 2048; S <= 16384; S *= 2) add_prefill(cases, 1, S, "gqa", "H=64 G=8 D=128");
  for (Index S = 2048; S <= 8192; S *= 2) add_prefill(cases, 1, S, "mha", "H=128 D=192 Dv=128");
  for (const Index S : {4096, 8192}) add_prefill(cases, 1, S, "gqa", "H=32 G=8 D=128");
  add_prefill(cases, 1, 8192, "gqa", "H=64 G=8 D=64");
  // One query over long keys: from what the caches hold to gigabytes.
  for (const Index B : {1, 16}) add_decode(cases, B, 8192, "mha", "H=32 D=128");
  for (const Index B : {1, 16, 64, 128}) add_decode(cases, B, 8192, "gqa", "H=64 G=8 D=128");
  for (const Index B : {16, 64, 128}) add_decode(cases, B, 8192, "mqa", "H=64 D=128");
  add_decode(cases, 32, 8192, "gqa", "H=32 G=8 D=128");
  add_decode(cases, 64, 8192, "gqa", "H=64 G=8 D=64");
  add_decode(cases, 8, 8192, "mha", "H=16 D=192 Dv=128");
  add_decode(cases, 1, 131072, "gqa", "H=64 G=8 D=128");
  add_layers(cases);
  return cases;
}

/// The same two kinds, an eighth to a fourth as wide.
Cases emulated_layers() {
  const std::string gqa =
      " H=8 G=2 D=128 dtype=bf16 level=layer E=1024 rope=default:theta:500000 mask=causal | "
      "kernel=layer";
  const std::string mla =
      " H=16 G=16 D=192 Dv=128 dtype=bf16 level=layer E=1024 L=512 Lq=256 Dr=64 form=absorbed "
      "rope=yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1 mask=causal | "
      "kernel=layer";
  return {"gqa B=2 Sq=1 Sk=512" + gqa, "gqa B=1 Sq=192 Sk=192" + gqa, "mla B=2 Sq=1 Sk=512" + mla,
          "mla B=1 Sq=32 Sk=512" + mla};
}

}  // namespace

std::vector<std::string> bench_problems(Backend backend) {
  if (backend == Backend::gpu) return gpu_problems();
  Cases cases = {"gqa B=1 Sq=512 Sk=512 H=8 G=2 D=128 dtype=bf16 mask=causal | kernel=prefill",
                 "gqa B=1 Sq=1024 Sk=1024 H=8 G=2 D=128 dtype=bf16 mask=causal | kernel=prefill",
                 "gqa B=2 Sq=1 Sk=512 H=16 G=4 D=128 dtype=bf16 | kernel=decode splits=4"};
  for (const std::string& layer : emulated_layers()) cases.push_back(layer);
  return cases;
}

std::string print(const GemmShape& s) {
  return concat("gemm M=", s.M, " N=", s.N, " K=", s.K, " dtype=bf16");
}

std::vector<GemmShape> gemm_shapes(Backend backend) {
  if (backend == Backend::emu)
    return {{1, 1024, 1024}, {16, 1024, 1024}, {128, 1024, 1024}, {64, 256, 4096}};
  struct Weight {
    Index N, K;
  };
  // w_qkv and w_o of LLaMA-3-8B, w_uq and w_o of DeepSeek-V3.
  constexpr Weight kWeights[] = {{6144, 4096}, {4096, 4096}, {24576, 1536}, {7168, 16384}};
  std::vector<GemmShape> shapes;
  for (const auto& [N, K] : kWeights)
    for (const Index M : {1, 16, 128, 2048}) shapes.push_back({M, N, K});
  return shapes;
}

}  // namespace attest
