#include "harness/run_support.h"

#include "cases/sha256.h"

namespace attest {

CrashReason reason_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::deadlock:
      return CrashReason::deadlock;
    case FaultKind::race:
      return CrashReason::race;
    case FaultKind::bounds:
      return CrashReason::bounds;
    case FaultKind::misuse:
      return CrashReason::misuse;
    case FaultKind::device:
      return CrashReason::device;
  }
  return CrashReason::crash;
}

std::string hash_of(const TensorSet& tensors) {
  std::string joined;
  for (const Tensor& tensor : tensors) joined += tensor.name() + tensor.sha256();
  return sha256(joined);
}

}  // namespace attest
