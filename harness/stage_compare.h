#pragma once

#include "cases/descriptor.h"
#include "cases/stages.h"
#include "cases/truth.h"
#include "harness/judge.h"

namespace attest {

/// Compares what a stage other than attention left with its truth (reference/layer.h): classes,
/// then exact copies and untouched cache rows, then the hard bound of every element, then rho of
/// every tensor. UNTRUSTED where a bound is wider than the tensor's own rms.
StageResult compare_stage(const Problem&, const Stage&, const Truth&, const Descriptor&,
                          const TensorSet& inputs, const TensorSet& outputs);

}  // namespace attest
