#pragma once

#include <filesystem>

#include "cases/truth.h"
#include "cuda/kernel.h"
#include "harness/record.h"

namespace attest {

/// Inputs of a problem and what the reference says of them.
struct Question {
  Problem problem;
  TensorSet inputs;
  Truth truth;
  Timing seconds;  ///< inputs and reference
};

/// Draws the inputs and asks the reference.
Question pose(const Problem&);

/// Allocates o and lse for a problem, filled with NaN.
TensorSet empty_outputs(const Problem&);

/// Runs one case on the kernel it names: pose, run, judge, and where caches have unused slots run
/// twice more with other values in them (poison.h). A failing case is dumped to
/// `failures` (created when needed) unless that is empty. A KernelFault becomes the verdict CRASH;
/// a problem the kernel does not support, SKIP. Throws only attest::Error.
Record run_case(const Case&, const std::filesystem::path& failures);

/// The same for inputs and truth that are there already.
Record run_case(const Case&, const Question&, const std::filesystem::path& failures);

}  // namespace attest
