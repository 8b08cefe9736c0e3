#pragma once

#include "cases/preset.h"
#include "cases/problem.h"

namespace attest {

/// How many tokens a layer of a preset is asked for.
struct LayerExtent {
  Index B = 1, Sq = 1, Sk = 1;  ///< as in Problem
  Dtype dtype = Dtype::bf16;
};

/// Empty, or what the preset has and a layer has not: "a bias by distance" and the like.
std::string missing_in_layer(const Preset&);

/// One layer of a preset, a windowed one where it has any, at its own dimensions, causal where the
/// preset is. MLA is absorbed for up to 4 queries (decode) and expanded from there on, as inference
/// engines run it. Throws attest::Error for what missing_in_layer() names and for what validate()
/// refuses.
Problem layer_of(const Preset&, const LayerExtent&);

}  // namespace attest
