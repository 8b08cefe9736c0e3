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
  return cases;
}

}  // namespace

std::vector<std::string> bench_problems(Backend backend) {
  if (backend == Backend::gpu) return gpu_problems();
  return {"gqa B=1 Sq=512 Sk=512 H=8 G=2 D=128 dtype=bf16 mask=causal | kernel=prefill",
          "gqa B=1 Sq=1024 Sk=1024 H=8 G=2 D=128 dtype=bf16 mask=causal | kernel=prefill",
          "gqa B=2 Sq=1 Sk=512 H=16 G=4 D=128 dtype=bf16 | kernel=decode splits=4"};
}

}  // namespace attest
