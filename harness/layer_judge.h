#pragma once

#include "cases/descriptor.h"
#include "cases/problem.h"
#include "cases/tensor.h"
#include "cases/truth.h"
#include "harness/judge.h"

namespace attest {

/// Judges what a kernel left of a layer, stage by stage: the truth of each stage is computed from
/// the bits that the stages before it left, so that every error is charged to the stage that made
/// it.
///
/// inputs: make_layer_inputs(); outputs: layer_outputs(problem). Attention is judged like any core
/// attention (judge.h); every other tensor element by element (stage_bound.h) and by rho; cache
/// rows of no new token must be untouched. y's distance from `truth`, the layer with nothing
/// rounded on the way (reference/layer.h), is reported, and gated by nmse alone.
///
/// The verdict is that of the first stage that fails; metrics.hard_ratio is the largest of all, the
/// other metrics are those of attention, but nmse and rms are those of y.
Judgement judge_layer(const Problem&, const TensorSet& inputs, const Truth& truth,
                      const Descriptor&, const TensorSet& outputs);

/// The stages of it alone: of a shard, whose y is only a part.
Judgement judge_stages(const Problem&, const TensorSet& inputs, const Descriptor&,
                       const TensorSet& outputs);

/// Asks y [B,Sq,E] (as doubles) for its distance from the truth; the second half of judge_layer().
void judge_end_to_end(const Problem&, const Truth& truth, std::span<const double> y, Judgement&);

}  // namespace attest
