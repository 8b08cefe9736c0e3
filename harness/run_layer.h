#pragma once

#include "harness/record.h"

namespace attest {

/// Runs a case of level=layer on the kernel it names and judges it (layer_judge.h). With tp > 1
/// every rank runs its shard, whose stages are judged, and the sum of their y is what the end asks.
/// A KernelFault becomes the verdict CRASH. No dump is written: rerun draws the same inputs.
Record run_layer(const Case&);

}  // namespace attest
