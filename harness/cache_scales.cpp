#include "harness/cache_scales.h"

#include <algorithm>
#include <cmath>

#include "harness/fills.h"

namespace attest {
namespace {

/// Largest magnitude of one head's rows [B, Sk, width].
double largest(const Problem& p, const Streams& streams, const Stream& own, RowRecipe recipe,
               Index g, Index width) {
  double most = 0;
#pragma omp parallel reduction(max : most)
  {
    std::vector<double> values(static_cast<std::size_t>(width));
#pragma omp for collapse(2) schedule(static)
    for (Index b = 0; b < p.B; ++b)
      for (Index j = 0; j < p.Sk; ++j) {
        recipe({p, streams, own, b, j, g}, values);
        for (const double value : values) most = std::max(most, std::abs(value));
      }
  }
  return most;
}

/// The smallest power of two that is no less than x.
double power_above(double x) {
  int exponent = 0;
  return std::frexp(x, &exponent) == 0.5 ? x : std::ldexp(1.0, exponent);
}

}  // namespace

CacheScales cache_scales(const Problem& p) {
  if (!p.kv) return {};
  const Streams streams(p.seed);
  const Recipe& fill = recipe(p.fill);
  const auto scales = [&](std::string_view name, const Stream& own, RowRecipe recipe, Index width) {
    const Stream margin(p.seed, name);
    std::vector<float> all;
    for (Index g = 0; g < p.G; ++g) {
      const double least = largest(p, streams, own, recipe, g, width) / max_finite(*p.kv);
      const double scale = info(p.fill).tag == FillTag::exact
                               ? power_above(least)
                               : least * (1 + margin.at(0, 0, g, 0).uniform());
      all.push_back(least > 0 ? static_cast<float>(scale) : 1.0f);
    }
    return all;
  };
  CacheScales result{.k = scales("k_scale", streams.k, fill.k, p.D), .v = {}};
  if (p.form == Form::absorbed) return result;
  result.v = p.fill == Fill::denormal ? std::vector<float>(static_cast<std::size_t>(p.G), 1.0f)
                                      : scales("v_scale", streams.v, fill.v, p.Dv);
  return result;
}

void add_cache_scales(const Problem& p, const CacheScales& scales, TensorSet& inputs) {
  const auto add = [&](const char* name, const std::vector<float>& values) {
    if (values.empty()) return;
    Tensor& x = inputs.add(Tensor(name, Dtype::fp32, "G", {p.G}));
    std::ranges::copy(values, x.as<float>().begin());
  };
  add("k_scale", scales.k);
  add("v_scale", scales.v);
}

}  // namespace attest
