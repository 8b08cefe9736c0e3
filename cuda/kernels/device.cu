// The device that runs this build of the kernels.
#include <string>

#include "cuda/simt/device_timing.h"

namespace attest::ATTEST_BACKEND {

std::string device_name() { return simt::device_name(); }
DeviceInfo device_info() { return simt::device_info(); }

}  // namespace attest::ATTEST_BACKEND
