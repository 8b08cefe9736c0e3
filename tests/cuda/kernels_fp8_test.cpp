// Keys and values in 8 bits: what a kernel makes of them is, bit for bit, what it makes of a 16-bit
// cache that holds the same numbers. Scales are powers of two here, so that a 16-bit cache can.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "cases/error.h"
#include "cases/inputs.h"
#include "tests/catch.h"
#include "tests/cuda/kernels_support.h"

using namespace attest;
using test::same_bits;

namespace {

struct KernelCase {
  const char* kernel;
  const char* problem;  // without dtype and kv
};

const KernelCase kCases[] = {
    {"prefill", "gqa B=2 Sq=70 Sk=130 H=6 G=3 D=64 mask=causal"},
    {"prefill", "gqa B=2 Sq=9 Sk=70 H=8 G=4 D=72 Dv=40 softcap=2 alibi=1 sink=learned"},
    {"prefill", "mha B=3 Sq=5 Sk=70 H=2 D=192 Dv=128 lens=70,0,65 attn_bias=full sink=one"},
    {"prefill", "mla B=2 Sq=9 Sk=60 H=4 D=48 Dv=24 Dr=16 page=24 scale=0.3"},
    {"decode", "gqa B=2 Sq=3 Sk=200 H=6 G=2 D=128 softcap=5 attn_bias=head"},
    {"decode", "gqa B=2 Sq=3 Sk=100 H=6 G=3 D=40 Dv=72 page=8 lens=99,17 alibi=1"},
    {"decode", "mqa B=3 Sq=2 Sk=65 H=5 D=192 Dv=128 window=20,3 mask=none softcap=0.5"},
    {"decode", "gqa B=2 Sq=3 Sk=66 H=8 G=4 D=64 sink=learned"},
    {"mla_decode", "mla B=2 Sq=3 Sk=70 H=9 D=576 Dv=512 form=absorbed Dn=128 Dr=64 sink=learned"},
    {"mla_decode",
     "mla B=3 Sq=2 Sk=90 H=5 D=56 Dv=40 form=absorbed Dn=24 Dr=16 page=16 lens=90,3,0 "
     "softcap=3 alibi=1"},
};

bool is_cache(const Problem& p, const TensorSpec& x) {
  return x.dtype == p.cache_dtype() && x.name != "q" && x.name != "attn_bias";
}

double scale_of(const Problem& p, const TensorSet& inputs, const std::string& cache, Index n) {
  const bool v = cache[0] == 'v';
  const Index width = v ? p.Dv : p.D, g = n / width % p.G;
  return inputs.at(v ? "v_scale" : "k_scale").value(g);
}

Tensor numbers(const TensorSpec& spec, std::mt19937& random) {
  Tensor x(spec.name, spec.dtype, spec.layout, spec.shape);
  std::normal_distribution<float> normal;
  for (Index n = 0; n < x.size(); ++n) {
    const auto at = static_cast<std::size_t>(n);
    if (spec.name.ends_with("_scale"))  // different powers of two for k, v and their heads
      x.as<float>()[at] = std::ldexp(1.0f, static_cast<int>(n) - (spec.name[0] == 'v' ? 3 : 1));
    else if (spec.dtype == Dtype::fp32)
      x.as<float>()[at] = std::abs(normal(random)) / 4;
    else
      x.as<std::uint16_t>()[at] = test::encode(spec.dtype, normal(random));
  }
  return x;
}

/// Random numbers below 2, subnormals among them; of slots without a key too.
Tensor bytes(const TensorSpec& spec, std::mt19937& random) {
  Tensor x(spec.name, spec.dtype, spec.layout, spec.shape);
  for (std::byte& byte : x.bytes()) byte = static_cast<std::byte>(random() & 0xbf);
  return x;
}

TensorSet inputs_with_kv(const Problem& p) {
  std::mt19937 random(7);
  TensorSet inputs;
  for (const TensorSpec& spec : inputs_of(p)) {
    if (spec.dtype == Dtype::int32) {
      Tensor& x = inputs.add(Tensor(spec.name, spec.dtype, spec.layout, spec.shape));
      for (Index n = 0; n < x.size(); ++n)  // lengths, or pages from the last one down
        x.as<std::int32_t>()[static_cast<std::size_t>(n)] = static_cast<std::int32_t>(
            spec.name == "seqlens_k" ? p.length(n) : p.pool_pages() - 1 - n);
    } else {
      inputs.add(is_cache(p, spec) ? bytes(spec, random) : numbers(spec, random));
    }
  }
  return inputs;
}

/// The same problem with a 16-bit cache.
Problem widened(Problem p) {
  p.kv.reset();
  return p;
}

TensorSet widened(const Problem& p, const TensorSet& inputs) {
  TensorSet wide;
  for (const TensorSpec& spec : inputs_of(p)) {
    const Tensor& x = inputs.at(spec.name);
    if (spec.name.ends_with("_scale")) continue;
    if (!is_cache(p, spec)) {
      wide.add(x);
      continue;
    }
    Tensor& cache = wide.add(Tensor(spec.name, p.dtype, spec.layout, spec.shape));
    for (Index n = 0; n < x.size(); ++n)
      cache.as<std::uint16_t>()[static_cast<std::size_t>(n)] =
          test::encode(p.dtype, x.value(n) * scale_of(p, inputs, spec.name, n));
  }
  return wide;
}

}  // namespace

TEST_CASE("a cache of 8 bits gives the bits of a 16-bit one with the same numbers") {
  const KernelCase& c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const char* dtype = GENERATE("bf16", "fp16");
  const char* kv = GENERATE("e4m3", "e5m2");
  const Problem p = parse_problem(concat(c.problem, " dtype=", dtype, " kv=", kv));
  CAPTURE(c.kernel, print(p));
  const Kernel& kernel = find_kernel(c.kernel, Backend::emu);
  CHECK(kernel.supports(p) == "");
  const TensorSet inputs = inputs_with_kv(p);
  const TensorSet got = test::run(kernel, p, inputs);
  const TensorSet want = test::run(kernel, widened(p), widened(p, inputs));
  CHECK(same_bits(got, want));
  for (Index n = 0; n < got.at("o").size(); ++n) REQUIRE(std::isfinite(got.at("o").value(n)));
}

TEST_CASE("a cache or a scale of another type is refused before a kernel reads it") {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=9 H=4 G=2 D=16 dtype=bf16 kv=e4m3");
  const Kernel& kernel = find_kernel("decode", Backend::emu);
  const TensorSet inputs = inputs_with_kv(p);
  CHECK_THROWS_WITH(test::run(kernel, widened(p), inputs),
                    Catch::Contains("k must hold bf16, got e4m3"));
  Problem other = p;
  other.kv = Dtype::e5m2;
  CHECK_THROWS_WITH(test::run(kernel, other, inputs),
                    Catch::Contains("k must hold e5m2, got e4m3"));
  TensorSet narrow;
  for (const Tensor& x : inputs)
    narrow.add(x.name() == "v_scale" ? Tensor("v_scale", Dtype::fp32, "G", {1}) : x);
  CHECK_THROWS_WITH(test::run(kernel, p, narrow),
                    Catch::Contains("v_scale must be 2 entries of fp32"));
}
