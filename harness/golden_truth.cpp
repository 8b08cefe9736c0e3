#include "harness/golden_truth.h"

#include <algorithm>
#include <cmath>

#include "cases/stages.h"
#include "reference/layer.h"
#include "reference/reference.h"

namespace attest {
namespace {

/// Row of position j of batch entry b in a cache [B,Sk,...] or, with pages, [P,page,...].
Index cache_row(const Problem& p, const TensorSet& inputs, Index b, Index j) {
  if (p.page == 0) return b * p.Sk + j;
  const auto table = inputs.at("block_table").as<std::int32_t>();
  return table[static_cast<std::size_t>(b * p.table_width() + j / p.page)] * p.page + j % p.page;
}

/// fresh: the rows of new tokens [B,Sq,...], fp64.
Tensor cache_after(const Problem& p, const TensorSet& inputs, const Tensor& fresh) {
  const Tensor& before = inputs.at(fresh.name());
  Tensor after(before.name(), Dtype::fp64, before.layout(), before.shape());  // NaN, all bits set
  const std::span<double> to = after.as<double>();
  const Index width = fresh.size() / (p.B * p.Sq);
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < p.length(b); ++j) {
      const Index row = cache_row(p, inputs, b, j), i = j - cached_tokens(p, b);
      for (Index n = 0; n < width; ++n)
        to[static_cast<std::size_t>(row * width + n)] =
            i < 0 ? before.value(row * width + n) : fresh.value((b * p.Sq + i) * width + n);
    }
  return after;
}

double largest(const Tensor& x) {
  double most = 0;
  for (const double value : x.as<double>())
    if (std::isfinite(value)) most = std::max(most, std::abs(value));
  return most;
}

}  // namespace

Truth golden_truth(const Problem& p, const TensorSet& inputs) {
  if (p.level == Level::core)
    return reference::attend(p, inputs, reference::Emit::outputs_and_conditioning);
  const Truth layer = reference::layer(p, inputs);
  Truth kept{.outputs = {}, .conditioning = layer.conditioning};
  for (const Tensor& output : layer.outputs)
    kept.outputs.add(inputs.find(output.name()) ? cache_after(p, inputs, output) : output);
  return kept;
}

std::vector<std::string> golden_output_names(const Problem& p) {
  if (p.level == Level::core) return {"o", "lse"};
  constexpr std::string_view kKept[] = {"q_rot", "k_cache", "v_cache", "latent_cache",
                                        "u",     "o",       "lse",     "y"};
  std::vector<std::string> names;
  for (const TensorSpec& spec : layer_outputs(p))
    if (std::ranges::find(kKept, spec.name) != std::end(kKept)) names.push_back(spec.name);
  return names;
}

double golden_layer_bound(const Truth& truth, const Tensor& output) {
  const double unit = output.name() == "lse" ? 1 : 0;
  return 1e-13 * (10 + largest(truth.conditioning.at("max_a"))) * std::max(unit, largest(output));
}

}  // namespace attest
