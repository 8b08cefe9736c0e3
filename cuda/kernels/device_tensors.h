#pragma once

#include "cuda/kernels/attention_params.h"
#include "cuda/simt/device_memory.h"

namespace attest::ATTEST_BACKEND {

/// The tensors of one run of core attention, where the kernel reaches them.
struct DeviceTensors {
  simt::DeviceInput q, k, v;
  simt::DeviceOutput o, lse;

  DeviceTensors(const TensorSet& inputs, TensorSet& outputs)
      : q(inputs.at("q")),
        k(inputs.at("k")),
        v(inputs.at("v")),
        o(outputs.at("o")),
        lse(outputs.at("lse")) {}

  AttentionParams params(const Problem& problem) const {
    AttentionParams result = attention_params(problem);
    result.q = q.as<void>();
    result.k = k.as<void>();
    result.v = v.as<void>();
    result.o = o.as<void>();
    result.lse = lse.as<float>();
    return result;
  }

  /// Waits for the kernel; throws KernelFault for what it did wrong.
  void copy_back() {
    o.copy_back();
    lse.copy_back();
  }
};

}  // namespace attest::ATTEST_BACKEND
