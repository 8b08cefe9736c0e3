#pragma once

#include <chrono>
#include <string>

#include "cases/fault.h"
#include "cases/tensor.h"
#include "harness/record.h"

namespace attest {

/// Seconds since the object was made or last asked.
class Stopwatch {
 public:
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

CrashReason reason_of(FaultKind);

/// SHA-256 over names and hashes of all tensors.
std::string hash_of(const TensorSet&);

}  // namespace attest
