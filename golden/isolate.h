#pragma once

#include <functional>

#include "golden/golden_file.h"

namespace attest::golden {

/// Runs `inspect` in a child process with bounded memory and CPU time and without the right to
/// write files. Throws InfraError with the text of what `inspect` threw, or saying how the child
/// died. The child inherits nothing that it could damage; standard error is closed to it.
void isolate(const std::function<void()>& inspect, const GoldenLimits& limits);

}  // namespace attest::golden
