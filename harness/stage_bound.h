#pragma once

#include "cases/descriptor.h"
#include "cases/stages.h"

namespace attest {

/// How far rounding may move one element of a stage other than attention, and by how much it
/// typically does. TOLERANCE.md, "Layers"; its items are cited in stage_bound.cpp.
struct StageBound {
  double hard;   ///< no declared rounding moves it further; 0: it must be exact
  double sigma;  ///< standard deviation of its error
};

/// The rounding of one tensor of a stage, apart from the element.
class StageRounding {
 public:
  StageRounding(const Problem&, const Stage&, Dtype stored, const Descriptor&);

  /// want: the true value; magnitude: what rounding is relative to (reference/layer.h), 0 for
  /// copies.
  StageBound of(double want, double magnitude) const;

 private:
  Dtype stored_;
  double hard_ = 0, typical_ = 0;  ///< error over magnitude before the result is stored
};

/// Products that an output of a gemm stage sums.
Index gemm_depth(const Problem&, const Stage&);

}  // namespace attest
