#pragma once

#include <string>
#include <vector>

namespace attest {

/// Seconds of single launches of a kernel, by the device's own clock. Transfers do not count.
struct LaunchTimes {
  std::vector<double> cold;  ///< the device's last cache was overwritten before each launch
  std::vector<double> warm;  ///< one launch right after the other
};

/// What a GPU's peaks can be computed from. A number that the driver does not give is 0.
struct DeviceInfo {
  std::string name;            ///< as device_name()
  int compute_capability = 0;  ///< 90 for 9.0
  int multiprocessors = 0;
  double clock = 0;         ///< of the multiprocessors, Hz, the highest
  double memory_clock = 0;  ///< Hz; two transfers a cycle
  int memory_bus_bits = 0;
};

}  // namespace attest
