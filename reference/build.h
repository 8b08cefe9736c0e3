#pragma once

#include <span>
#include <string_view>

#include "reference/linear.h"
#include "reference/task.h"

namespace attest::reference {

/// One instruction set that the variants are compiled for.
struct Build {
  std::string_view name;
  bool (*runs_here)();
  void (*attend)(Variant, const Task&);
  bool (*linear)(const Linear&);  // false for an infinity or NaN in w
  double (*fma_peak_flops)(int threads);
  void (*exp_shifted)(const double* x, double shift, Index count, double* p);  // of softmax.h
};

/// All builds in this program, slowest first, whether or not this processor can run them.
std::span<const Build> builds();

}  // namespace attest::reference
