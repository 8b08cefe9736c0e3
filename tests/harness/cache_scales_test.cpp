// Inputs of problems whose keys and values have 8 bits: the scales, and what is divided by them.
#include "harness/cache_scales.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "cases/error.h"
#include "harness/inputs.h"
#include "harness/rounding.h"
#include "tests/catch.h"

using namespace attest;

namespace {

const std::string kText = "gqa B=2 Sq=3 Sk=40 H=6 G=3 D=24 Dv=16 dtype=fp16 seed=5 kv=";

/// Head of element n of k or v [B, Sk, G, width].
Index head(const Tensor& x, Index n) { return n / x.shape()[3] % x.shape()[2]; }

/// Largest magnitude of each head. [G]
std::vector<double> largest(const Tensor& x) {
  std::vector<double> most(static_cast<std::size_t>(x.shape()[2]), 0.0);
  for (Index n = 0; n < x.size(); ++n) {
    double& own = most[static_cast<std::size_t>(head(x, n))];
    own = std::max(own, std::abs(x.value(n)));
  }
  return most;
}

}  // namespace

TEST_CASE("scales let every head use the upper half of its type, and none beyond") {
  const Dtype kv = GENERATE(Dtype::e4m3, Dtype::e5m2);
  for (const FillInfo& fill : fills()) {
    Problem p = parse_problem(concat(kText, name(kv)));
    p.fill = fill.fill;
    const TensorSet inputs = make_inputs(p);
    CAPTURE(name(p.fill), name(kv));
    for (const char* cache : {"k", "v"}) {
      REQUIRE(inputs.at(cache).dtype() == kv);
      if (p.fill == Fill::denormal && cache[0] == 'v') continue;
      if (p.fill == Fill::tailhot && cache[0] == 'v') continue;  // see below: all or nothing
      for (const double most : largest(inputs.at(cache))) {
        CHECK(most <= max_finite(kv));
        CHECK(most >= max_finite(kv) * 0.46);  // half of it, rounded
      }
    }
  }
}

TEST_CASE("no two heads have a scale in common, nor have k and v") {
  const Problem p = parse_problem(kText + "e4m3");
  const CacheScales scales = cache_scales(p);
  std::set<float> distinct(scales.k.begin(), scales.k.end());
  distinct.insert(scales.v.begin(), scales.v.end());
  CHECK(distinct.size() == 6);
  const TensorSet inputs = make_inputs(p);
  CHECK(std::ranges::equal(inputs.at("k_scale").as<float>(), scales.k));
  CHECK(std::ranges::equal(inputs.at("v_scale").as<float>(), scales.v));
}

TEST_CASE("numbers times scales are the draws of a 16-bit cache, within half a step of 8 bits") {
  const Dtype kv = GENERATE(Dtype::e4m3, Dtype::e5m2);
  const auto* more = GENERATE("", " page=8 lens=37,4", " lens=0,39");
  const Problem p = parse_problem(concat(kText, name(kv), more));
  Problem wide = p;
  wide.kv.reset();
  const TensorSet inputs = make_inputs(p), drawn = make_inputs(wide);
  for (const Tensor& x : drawn) {
    const Tensor& got = inputs.at(x.name());
    CAPTURE(x.name(), print(p));
    REQUIRE(got.shape() == x.shape());
    if (x.name()[0] != 'k' && x.name()[0] != 'v') {
      CHECK(got.sha256() == x.sha256());
      continue;
    }
    const Tensor& scale = inputs.at(x.name()[0] == 'k' ? "k_scale" : "v_scale");
    const double u = unit_roundoff(kv) + unit_roundoff(p.dtype);
    Index wrong = 0;
    for (Index n = 0; n < x.size(); ++n) {
      const double s = scale.value(head(x, n)), want = x.value(n);
      if (std::isnan(want))
        wrong += !std::isnan(got.value(n));  // slots without a key
      else
        wrong += !(std::abs(got.value(n) * s - want) <=
                   1.1 * u * std::abs(want) + s * min_subnormal(kv));
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("fills with an exact answer have powers of two as scales") {
  Problem p = parse_problem(kText + "e4m3");
  p.fill = Fill::needle;
  const CacheScales scales = cache_scales(p);
  for (const float scale : scales.v) CHECK(scale == 1);        // up to 256
  for (const float scale : scales.k) CHECK(scale == 0x1p-8f);  // +-1 becomes 256
}

TEST_CASE("denormal has V of subnormals and a scale of 1") {
  const Dtype kv = GENERATE(Dtype::e4m3, Dtype::e5m2);
  Problem p = parse_problem(concat(kText, name(kv)));
  p.fill = Fill::denormal;
  const TensorSet inputs = make_inputs(p);
  for (const float scale : inputs.at("v_scale").as<float>()) CHECK(scale == 1);
  const Tensor& v = inputs.at("v");
  Index numbers = 0;
  for (Index n = 0; n < v.size(); ++n) {
    CHECK(std::abs(v.value(n)) <= std::ldexp(1.0, format_of(kv).min_exponent));
    numbers += v.value(n) != 0;
  }
  CHECK(numbers > v.size() / 2);
}

TEST_CASE("the latent has one scale, and a cache without keys has 1") {
  const Problem mla =
      parse_problem("mla B=2 Sq=3 Sk=5 H=4 D=40 dtype=bf16 kv=e5m2 form=absorbed Dn=20 Dr=16");
  const TensorSet inputs = make_inputs(mla);
  CHECK(inputs.at("latent_cache").dtype() == Dtype::e5m2);
  CHECK(inputs.at("k_scale").shape() == std::vector<Index>{1});
  CHECK(inputs.find("v_scale") == nullptr);
  const CacheScales none =
      cache_scales(parse_problem("mha B=1 Sq=2 Sk=0 H=2 D=8 dtype=bf16 kv=e4m3"));
  CHECK(none.k == std::vector<float>{1, 1});
  CHECK(cache_scales(parse_problem("mha B=1 Sq=2 Sk=5 H=2 D=8 dtype=bf16")).k.empty());
}
