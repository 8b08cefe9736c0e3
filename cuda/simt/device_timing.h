#pragma once

// Times launches by the device's own clock, in the emulator by the host's. Throws what
// device_memory.h throws.

#include <algorithm>
#include <chrono>
#include <vector>

#include "cuda/launch_times.h"
#include "cuda/simt/device_memory.h"

namespace attest::ATTEST_BACKEND::simt {

/// A point in the sequence of launches.
class Event {
 public:
#if defined(__CUDACC__)
  Event() { ATTEST_CUDA_CHECK(cudaEventCreate(&event_)); }
  ~Event() { cudaEventDestroy(event_); }
  void record() { ATTEST_CUDA_CHECK(cudaEventRecord(event_)); }

  /// Both have been reached.
  double seconds_since(const Event& earlier) const {
    float milliseconds = 0;
    ATTEST_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
    return milliseconds * 1e-3;
  }
#else
  Event() = default;
  void record() { time_ = std::chrono::steady_clock::now(); }
  double seconds_since(const Event& earlier) const {
    return std::chrono::duration<double>(time_ - earlier.time_).count();
  }
#endif
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

 private:
#if defined(__CUDACC__)
  cudaEvent_t event_ = nullptr;
#else
  std::chrono::steady_clock::time_point time_;
#endif
};

/// Writes device memory of four times the last cache, so that nothing of a kernel's stays in it.
/// Does nothing in the emulator.
class CacheSweep {
 public:
  CacheSweep() {
#if defined(__CUDACC__)
    int device = 0, cache = 0;
    ATTEST_CUDA_CHECK(cudaGetDevice(&device));
    ATTEST_CUDA_CHECK(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, device));
    size_ = 4 * static_cast<std::size_t>(cache);
    ATTEST_CUDA_CHECK(cudaMalloc(&memory_, size_));
#endif
  }
  ~CacheSweep() {
#if defined(__CUDACC__)
    cudaFree(memory_);
#endif
  }
  CacheSweep(const CacheSweep&) = delete;
  CacheSweep& operator=(const CacheSweep&) = delete;

  void operator()() const {
#if defined(__CUDACC__)
    ATTEST_CUDA_CHECK(cudaMemsetAsync(memory_, 0, size_));
#endif
  }

 private:
  [[maybe_unused]] void* memory_ = nullptr;
  [[maybe_unused]] std::size_t size_ = 0;
};

/// Seconds of each of `count` launches. before() runs ahead of each and is not timed.
template <class Before, class Launch>
std::vector<double> time_each(int count, const Before& before, const Launch& launch) {
  const auto n = static_cast<std::size_t>(count);
  std::vector<Event> starts(n), ends(n);
  for (std::size_t i = 0; i < n; ++i) {
    before();
    starts[i].record();
    launch();
    ends[i].record();
  }
  synchronize();
  std::vector<double> seconds(n);
  for (std::size_t i = 0; i < n; ++i) seconds[i] = ends[i].seconds_since(starts[i]);
  return seconds;
}

/// Launches for about `seconds` cold and as long warm, at least 5 times and at most 1000 each,
/// after a warm-up of half that, which also raises a GPU's clocks.
template <class Launch>
LaunchTimes time_launches(const Launch& launch, double seconds) {
  const auto nothing = [] {};
  double one = 0;
  std::chrono::duration<double> warm_up{};
  const auto start = std::chrono::steady_clock::now();
  for (int n = 0; n < 2 || warm_up.count() < seconds / 2; ++n) {  // the first loads the code
    one = time_each(1, nothing, launch).front();
    warm_up = std::chrono::steady_clock::now() - start;
  }
  const int count = static_cast<int>(std::clamp(seconds / std::max(one, 1e-6), 5.0, 1000.0));
  const CacheSweep sweep;
  LaunchTimes times;
  times.cold = time_each(count, sweep, launch);
  times.warm = time_each(count, nothing, launch);
  return times;
}

/// The GPU that kernels are launched on; in the emulator, and where there is none, only a name.
inline DeviceInfo device_info() {
  DeviceInfo info;
  info.name = device_name();
#if defined(__CUDACC__)
  int device = 0;
  if (info.name.empty() || cudaGetDevice(&device) != cudaSuccess) return info;
  const auto attribute = [device](cudaDeviceAttr which) {
    int value = 0;
    return cudaDeviceGetAttribute(&value, which, device) == cudaSuccess ? value : 0;
  };
  info.compute_capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor) +
                            attribute(cudaDevAttrComputeCapabilityMinor);
  info.multiprocessors = attribute(cudaDevAttrMultiProcessorCount);
  info.clock = 1e3 * attribute(cudaDevAttrClockRate);  // the driver gives kHz
  info.memory_clock = 1e3 * attribute(cudaDevAttrMemoryClockRate);
  info.memory_bus_bits = attribute(cudaDevAttrGlobalMemoryBusWidth);
#endif
  return info;
}

}  // namespace attest::ATTEST_BACKEND::simt
