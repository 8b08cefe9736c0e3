#pragma once

#include <functional>

#include "cuda/kernel.h"
#include "cuda/kernels/attention_params.h"
#include "cuda/kernels/device_tensors.h"
#include "cuda/simt/device_timing.h"

namespace attest::ATTEST_BACKEND {

/// One launch of a kernel each time it is called, all with the same results. Owns the kernel's
/// scratch: keep it until the device is done.
using Launch = std::function<void()>;

/// Of the kernels of these names, for problems that they support. The pointers of the params are
/// set.
using MakeLaunch = Launch(const Problem&, const RunConfig&, const AttentionParams&);
MakeLaunch prefill_launch, decode_launch, mla_decode_launch, ffma_launch;

/// Kernel::run of a kernel of core attention.
template <MakeLaunch* make_launch>
void run_attention(const Problem& problem, const RunConfig& config, const TensorSet& inputs,
                   TensorSet& outputs) {
  DeviceTensors tensors(problem, inputs, outputs);
  const Launch launch = make_launch(problem, config, tensors.params());
  launch();
  tensors.copy_back();
}

/// Kernel::time, likewise.
template <MakeLaunch* make_launch>
LaunchTimes time_attention(const Problem& problem, const RunConfig& config, const TensorSet& inputs,
                           TensorSet& outputs, double seconds) {
  DeviceTensors tensors(problem, inputs, outputs);
  const Launch launch = make_launch(problem, config, tensors.params());
  LaunchTimes times = simt::time_launches(launch, seconds);
  tensors.copy_back();
  return times;
}

}  // namespace attest::ATTEST_BACKEND
