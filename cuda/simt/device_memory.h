#pragma once

// Tensors where a kernel can reach them, so that the host side of a kernel is written once:
//
//   simt::DeviceInput q(inputs.at("q"));     simt::DeviceOutput o(outputs.at("o"));
//   simt::launch(kernel, shape, q.as<T>(), o.as<T>());
//   o.copy_back();                           // waits for the kernel; throws what it did wrong
//
// Emulated kernels work on the host's memory itself. All of these throw InfraError for lack of
// memory or of a device; whatever waits for a kernel throws its KernelFault.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cases/tensor.h"
#include "cuda/simt/backend.cuh"

namespace attest::ATTEST_BACKEND::simt {

/// Waits for all kernels that were launched.
inline void synchronize() {
#if defined(__CUDACC__)
  ATTEST_CUDA_CHECK(cudaDeviceSynchronize());
#endif
}

/// "emulated", or the name of the GPU that kernels are launched on; empty where there is none.
inline std::string device_name() {
#if defined(__CUDACC__)
  int device = 0;
  cudaDeviceProp properties;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaGetDeviceProperties(&properties, device) != cudaSuccess)
    return {};
  return properties.name;
#else
  return "emulated";
#endif
}

/// A copy of host bytes in device memory; in the emulator, the host bytes.
class DeviceBytes {
 public:
  explicit DeviceBytes(std::span<std::byte> host) : host_(host) {
#if defined(__CUDACC__)
    if (host_.empty()) return;
    ATTEST_CUDA_CHECK(cudaMalloc(&device_, host_.size()));
    const cudaError_t copied =
        cudaMemcpy(device_, host_.data(), host_.size(), cudaMemcpyHostToDevice);
    if (copied != cudaSuccess) cudaFree(device_);
    ATTEST_CUDA_CHECK(copied);
#else
    device_ = host_.data();
#endif
  }
  ~DeviceBytes() {
#if defined(__CUDACC__)
    cudaFree(device_);
#endif
  }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  void* data() const { return device_; }

  void copy_back() {
    synchronize();
#if defined(__CUDACC__)
    ATTEST_CUDA_CHECK(cudaMemcpy(host_.data(), device_, host_.size(), cudaMemcpyDeviceToHost));
#endif
  }

 private:
  std::span<std::byte> host_;
  void* device_ = nullptr;
};

/// What a kernel reads.
class DeviceInput {
 public:
  explicit DeviceInput(std::span<const std::byte> host)
      : bytes_({const_cast<std::byte*>(host.data()), host.size()}) {}
  explicit DeviceInput(const Tensor& host) : DeviceInput(host.bytes()) {}

  template <class T>
  const T* as() const {
    return static_cast<const T*>(bytes_.data());
  }

 private:
  DeviceBytes bytes_;
};

/// What a kernel writes. Starts as the host's bytes (NaN, in a fresh Tensor).
class DeviceOutput {
 public:
  explicit DeviceOutput(std::span<std::byte> host) : bytes_(host) {}
  explicit DeviceOutput(Tensor& host) : DeviceOutput(host.bytes()) {}

  template <class T>
  T* as() const {
    return static_cast<T*>(bytes_.data());
  }

  /// Waits for the kernel and brings the bytes to the host.
  void copy_back() { bytes_.copy_back(); }

 private:
  DeviceBytes bytes_;
};

/// fp32 elements that no host sees, such as partial results. They start as NaN.
class DeviceScratch {
 public:
  explicit DeviceScratch(std::int64_t count)
      : host_(static_cast<std::size_t>(count) * sizeof(float), std::byte{0xff}), bytes_(host_) {}

  template <class T>
  T* as() const {
    static_assert(sizeof(T) == sizeof(float));
    return static_cast<T*>(bytes_.data());
  }

 private:
  std::vector<std::byte> host_;
  DeviceBytes bytes_;
};

}  // namespace attest::ATTEST_BACKEND::simt
