#pragma once

#include "cuda/kernels/attention_params.h"
#include "cuda/simt/device_memory.h"
#include "cuda/tile/split_keys.cuh"

namespace attest::ATTEST_BACKEND {

/// The partial results of one run of a split-KV kernel, where kernels reach them.
struct SplitScratch {
  simt::DeviceScratch part_o, part_m, part_l;

  SplitScratch(const Problem& p, Index splits)
      : part_o(splits * p.B * p.Sq * p.H * p.Dv),
        part_m(splits * p.B * p.Sq * p.H),
        part_l(splits * p.B * p.Sq * p.H) {}

  SplitParams params(const AttentionParams& attention, Index splits) const {
    return {.attention = attention,
            .part_o = part_o.as<float>(),
            .part_m = part_m.as<float>(),
            .part_l = part_l.as<float>(),
            .splits = static_cast<int>(splits)};
  }
};

}  // namespace attest::ATTEST_BACKEND
