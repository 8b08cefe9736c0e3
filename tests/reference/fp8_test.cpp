// Caches of 8 bits with scales: attention of what they stand for.
#include <random>

#include "cases/inputs.h"
#include "reference/reference.h"
#include "tests/catch.h"

using namespace attest;
using reference::Emit;

namespace {

TensorSet random_inputs(const Problem& p) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  TensorSet inputs;
  for (const TensorSpec& spec : inputs_of(p)) {
    Tensor& x = inputs.add(Tensor(spec.name, spec.dtype, spec.layout, spec.shape));
    for (Index n = 0; n < x.size(); ++n) {
      const auto at = static_cast<std::size_t>(n);
      if (spec.name == "block_table")
        x.as<std::int32_t>()[at] = static_cast<std::int32_t>(p.pool_pages() - 1 - n);
      else if (spec.dtype == Dtype::fp32)
        x.as<float>()[at] = 0.1f + static_cast<float>(std::abs(normal(random)));
      else if (size_of(spec.dtype) == 1)
        x.bytes()[at] = static_cast<std::byte>(random() & 0xbf);  // below 2
      else  // 16 bits: numbers from 1/8 to 1 and their opposites
        x.as<std::uint16_t>()[at] = static_cast<std::uint16_t>((random() & 0x81ff) | 0x3e00);
    }
  }
  return inputs;
}

/// k and v, or the caches, times their scales in fp64.
TensorSet dequantized(const Problem& p, const TensorSet& inputs) {
  TensorSet wide;
  for (const Tensor& x : inputs) {
    if (x.name().ends_with("_scale")) continue;
    if (x.dtype() != *p.kv) {
      wide.add(x);
      continue;
    }
    const bool v = x.name()[0] == 'v';
    const Tensor& scale = inputs.at(v ? "v_scale" : "k_scale");
    Tensor& cache = wide.add(Tensor(x.name(), Dtype::fp64, x.layout(), x.shape()));
    for (Index n = 0; n < x.size(); ++n)
      cache.as<double>()[static_cast<std::size_t>(n)] =
          x.value(n) * scale.value(n / (v ? p.Dv : p.D) % p.G);
  }
  return wide;
}

}  // namespace

TEST_CASE("8-bit caches are read as their numbers times the scale of their head, exactly") {
  const auto* text = GENERATE(
      "gqa B=2 Sq=3 Sk=9 H=6 G=3 D=8 Dv=5 dtype=bf16 softcap=2 alibi=1",
      "mha B=2 Sq=3 Sk=9 H=4 D=8 dtype=bf16 mask=causal", "mqa B=2 Sq=3 Sk=9 H=4 D=8 dtype=bf16",
      "gqa B=2 Sq=3 Sk=9 H=4 G=2 D=8 dtype=bf16 page=4",
      "mla B=2 Sq=3 Sk=9 H=4 D=12 Dv=8 dtype=bf16 Dr=4",
      "mla B=2 Sq=3 Sk=9 H=4 D=12 dtype=bf16 form=absorbed Dn=6 Dr=4",
      "mla B=2 Sq=3 Sk=9 H=4 D=12 dtype=bf16 form=absorbed Dn=6 Dr=4 page=2");
  const char* kv = GENERATE("e4m3", "e5m2");
  const Problem p = parse_problem(std::string(text) + " kv=" + kv);
  Problem wide = p;
  wide.kv.reset();
  CAPTURE(print(p));
  const TensorSet inputs = random_inputs(p);
  const Truth got = reference::attend(p, inputs, Emit::outputs_and_conditioning);
  const Truth want =
      reference::attend(wide, dequantized(p, inputs), Emit::outputs_and_conditioning);
  for (const Tensor& x : want.outputs) {
    CAPTURE(x.name());
    CHECK(got.outputs.at(x.name()).sha256() == x.sha256());
  }
  for (const Tensor& x : want.conditioning) {
    CAPTURE(x.name());
    CHECK(got.conditioning.at(x.name()).sha256() == x.sha256());
  }
}
