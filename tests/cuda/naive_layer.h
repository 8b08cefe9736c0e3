#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cases/stages.h"
#include "tests/cuda/layer_support.h"

// The stages of a layer in double, an element at a time, straight from cases/stages.h. Each reads
// the bits that the stage before it left. Nothing here shares code with the kernels or reference/,
// but the frequencies of the rotation, which rope_table_test.cpp holds against worked numbers.
namespace attest::test {

/// Weights of noise that keep the scale of what they multiply, caches with earlier tokens and NaN
/// behind them, shuffled pages (entries of pages without keys lead away), and seqlens_k.
TensorSet layer_inputs(const Problem&);

/// NaN, but the caches are those of the inputs.
TensorSet layer_outputs_before(const Problem&, const TensorSet& inputs);

/// One run of a layer: what went in, what is there now.
struct LayerRun {
  const Problem& p;
  const TensorSet &inputs, &outputs;

  const Tensor& at(std::string_view name) const {  ///< of the outputs, else of the inputs
    const Tensor* found = outputs.find(name);
    return found ? *found : inputs.at(name);
  }
  bool has(std::string_view name) const { return outputs.find(name) || inputs.find(name); }
  double value(std::string_view name, Index n) const { return at(name).value(n); }

  /// Row of a cache, counted in slots of [B, Sk] or [pages, page].
  Index slot(Index b, Index j) const;
};

/// Ways to get the append of new tokens wrong.
enum class Mistake {
  none,
  turned_twice,
  turned_before_norm,
  other_pairing,
  next_position,
  no_norm
};

/// All of these give the worst error in units of its bound, which is derived where it is computed.
/// Copies have a bound of 0; what nobody may write counts as an error of infinity when it changed.
double worst_append(const LayerRun&, Mistake = Mistake::none);

}  // namespace attest::test
