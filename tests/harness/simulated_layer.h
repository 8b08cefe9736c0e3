#pragma once

#include <algorithm>
#include <functional>

#include "cases/stages.h"
#include "harness/layer_inputs.h"
#include "harness/rounding.h"
#include "reference/layer.h"

namespace attest {

/// Row of position j of batch entry b in a cache, dense or in pages.
inline Index slot_of(const Problem& p, const TensorSet& inputs, Index b, Index j) {
  if (p.page == 0) return b * p.Sk + j;
  const auto table = inputs.at("block_table").as<std::int32_t>();
  return table[static_cast<std::size_t>(b * p.table_width() + j / p.page)] * p.page + j % p.page;
}

/// Stores the true values of a tensor, each rounded once, where a kernel would.
inline void store_rounded(const Problem& p, const TensorSet& inputs, const Tensor& want,
                          Tensor& to) {
  const bool cache = inputs.find(want.name()) != nullptr;
  const Index rows = want.shape()[0] * want.shape()[1], width = rows > 0 ? want.size() / rows : 0;
  const Index bytes = static_cast<Index>(size_of(to.dtype())), tokens = want.shape()[1];
  for (Index row = 0; row < rows; ++row) {
    const Index b = row / tokens, i = row % tokens;
    const Index at = cache ? slot_of(p, inputs, b, p.position(b, i)) : row;
    for (Index n = 0; n < width; ++n)
      encode(to.dtype(), want.value(row * width + n), to.bytes().data() + (at * width + n) * bytes);
  }
}

/// A layer that rounds every tensor once and nothing else: what a perfect kernel leaves. `between`
/// may spoil what a stage left before the next one reads it.
inline TensorSet simulate_layer(
    const Problem& p, const TensorSet& inputs,
    const std::function<void(std::string_view stage, TensorSet& left)>& between = {}) {
  TensorSet left = empty_layer_outputs(p, inputs);
  for (const Stage& stage : stages(p)) {
    const Truth truth = reference::layer_stage(p, stage, inputs, left);
    for (const TensorSpec& spec : stage.outputs)
      store_rounded(p, inputs, truth.outputs.at(spec.name), left.at(spec.name));
    if (between) between(stage.name, left);
  }
  return left;
}

}  // namespace attest
