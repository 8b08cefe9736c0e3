#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cases/case.h"
#include "cases/tensor.h"
#include "cuda/launch_times.h"

namespace attest {

/// Something that multiplies by weights, as a projection of a layer does it: c = a w^T, where a is
/// [M,K], w [N,K] and c [M,N], all bf16 or all fp16, sums in fp32. Stateless.
struct Multiplier {
  std::string_view name;
  Backend backend;

  /// Empty where it can run, else what is missing, such as "no GPU".
  std::string (*missing)();

  /// Of the library that it belongs to; null: it is the suite's own.
  std::string (*version)();

  /// Throws attest::Error for other dtypes and extents, InfraError where something is missing,
  /// KernelFault when the emulator or the device reports misuse.
  void (*run)(const Tensor& a, const Tensor& w, Tensor& c);

  /// Launches as Kernel::time does it.
  LaunchTimes (*time)(const Tensor& a, const Tensor& w, Tensor& c, double seconds);
};

/// All of this build: gemm.cu, emulated, and where the build has a CUDA toolkit again for the GPU,
/// and behind it cuBLASLt.
std::span<const Multiplier> multipliers();

}  // namespace attest
