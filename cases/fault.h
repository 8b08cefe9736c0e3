#pragma once

#include <stdexcept>
#include <string>

namespace attest {

/// What a kernel did that no kernel may do; becomes a CRASH verdict with this reason.
enum class FaultKind { deadlock, race, bounds, misuse, device };

/// Thrown by the emulator and by the GPU backend. The message names block, warp and lane.
class KernelFault : public std::runtime_error {
 public:
  KernelFault(FaultKind kind, const std::string& message)
      : std::runtime_error(message), kind_(kind) {}
  FaultKind kind() const { return kind_; }

 private:
  FaultKind kind_;
};

}  // namespace attest
