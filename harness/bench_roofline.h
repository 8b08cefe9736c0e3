#pragma once

#include <string>

#include "cuda/launch_times.h"

namespace attest {

/// What a GPU could do at most, for 16-bit inputs with fp32 sums. 0: not known.
struct Peaks {
  double flops = 0;    ///< dense tensor-core FLOP/s
  double bytes = 0;    ///< device memory, bytes/s
  std::string source;  ///< "data sheet", "computed from clocks", or empty
};

/// Data-sheet peaks of GPUs that are known by name, else what clocks, multiprocessors and bus
/// width give. The FLOP/s of an unknown GPU are only computed for compute capabilities 8.0 and 9.0,
/// where the rate of one multiprocessor is the same in every product.
Peaks peaks_of(const DeviceInfo&);

/// How close a time comes to the roofline.
struct Roofline {
  std::string roof;     ///< "compute" or "memory", the higher one; empty where a peak is missing
  double fraction = 0;  ///< least seconds that the peaks allow / measured seconds
};

Roofline roofline(const Peaks&, double flops, double bytes, double seconds);

}  // namespace attest
