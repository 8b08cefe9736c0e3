#pragma once

#include "cases/problem.h"
#include "cases/truth.h"

namespace attest {

/// Largest sum error^2 / sum y^2 of a layer's output y that rounding on the way explains.
/// TOLERANCE.md [E]
double layer_nmse_limit(const Problem&, const Truth&);

/// y alone proves nothing where the limit is above this: an error of a tenth of y would pass.
constexpr double kProvesLayer = 1e-2;

}  // namespace attest
