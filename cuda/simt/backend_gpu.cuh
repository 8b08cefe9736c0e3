#pragma once

// The few lines that a kernel file needs over the CUDA runtime.

#include <cuda_runtime.h>

#include <cstddef>
#include <string>

#include "cases/error.h"
#include "cases/fault.h"
#include "cuda/simt/place.h"

namespace attest::ATTEST_BACKEND::simt {

/// Throws InfraError where the machine is to blame (no device, driver or memory), else KernelFault.
inline void check_cuda(cudaError_t status, const char* call, Place place) {
  if (status == cudaSuccess) return;
  const std::string text = concat(call, ": ", cudaGetErrorName(status), ", ",
                                  cudaGetErrorString(status), " at ", place.file, ':', place.line);
  switch (status) {
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorDevicesUnavailable:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady:
    case cudaErrorInitializationError:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorMemoryAllocation:
    case cudaErrorECCUncorrectable:
      throw InfraError(text + "; `attest doctor` shows what this machine has");
    default:
      throw KernelFault(FaultKind::device, text);
  }
}

#define ATTEST_CUDA_CHECK(call) \
  ::attest::ATTEST_BACKEND::simt::check_cuda((call), #call, ::attest::Place::current())

struct LaunchShape {
  dim3 grid, block;
  std::size_t smem_bytes = 0;
};

template <class SharedPlan>
__device__ __forceinline__ SharedPlan* dynamic_shared() {
  extern __shared__ __align__(1024) unsigned char attest_shared[];
  return reinterpret_cast<SharedPlan*>(attest_shared);
}

/// Starts the kernel. Throws when the launch is refused; what the kernel does wrong shows in the
/// next call that waits for it (device_memory.h).
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, Arguments&&... arguments) {
  constexpr std::size_t kWithoutAsking = 48 * 1024;  // CUDA Programming Guide, compute capability 8
  if (shape.smem_bytes > kWithoutAsking)
    ATTEST_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           static_cast<int>(shape.smem_bytes)));
  kernel<<<shape.grid, shape.block, shape.smem_bytes>>>(static_cast<Arguments&&>(arguments)...);
  ATTEST_CUDA_CHECK(cudaGetLastError());
}

}  // namespace attest::ATTEST_BACKEND::simt
