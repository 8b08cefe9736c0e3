#pragma once

#include <string_view>

#include "tests/cuda/naive_layer.h"

namespace attest::test {

/// Worst error of what a stage left, in units of its bound; infinity where a row that exists is not
/// finite or one that does not was written. rope_append: worst_append().
double worst_of_stage(const LayerRun&, std::string_view stage);

}  // namespace attest::test
