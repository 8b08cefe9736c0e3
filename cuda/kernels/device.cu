// The device that runs this build of the kernels.
#include <string>

#include "cuda/simt/device_memory.h"

namespace attest::ATTEST_BACKEND {

std::string device_name() { return simt::device_name(); }

}  // namespace attest::ATTEST_BACKEND
