#pragma once

#include <cstddef>
#include <span>

#include "cuda/kernels/attention_params.h"
#include "cuda/simt/device_memory.h"

namespace attest::ATTEST_BACKEND {

/// The tensors of one run of attention, where the kernel reaches them.
class DeviceTensors {
 public:
  /// Throws attest::Error for what attention_params() refuses.
  DeviceTensors(const Problem& problem, const TensorSet& inputs, TensorSet& outputs)
      : params_(attention_params(problem, inputs)),
        q_(inputs.at(problem.layout == Layout::qkv ? "qkv" : "q")),
        k_(problem.layout == Layout::qkv ? std::span<const std::byte>{}
                                         : inputs.at(cache_names(problem).k).bytes()),
        v_(bytes_of(inputs, cache_names(problem).v)),
        k_scale_(bytes_of(inputs, problem.kv ? "k_scale" : nullptr)),
        v_scale_(
            bytes_of(inputs, problem.kv && problem.form == Form::expanded ? "v_scale" : nullptr)),
        block_table_(bytes_of(inputs, problem.page > 0 ? "block_table" : nullptr)),
        lens_(bytes_of(inputs, problem.lens.empty() ? nullptr : "seqlens_k")),
        alibi_slopes_(bytes_of(inputs, problem.alibi ? "alibi_slopes" : nullptr)),
        attn_bias_(bytes_of(inputs, problem.attn_bias == PerPair::none ? nullptr : "attn_bias")),
        attn_mask_(bytes_of(inputs, problem.attn_mask == PerPair::none ? nullptr : "attn_mask")),
        sinks_(bytes_of(inputs, problem.sink == Sink::learned ? "sinks" : nullptr)),
        o_(outputs.at("o")),
        lse_(outputs.at("lse")) {
    params_.q = q_.as<void>();
    params_.k = k_.as<void>();
    params_.v = v_.as<void>();
    if (problem.layout == Layout::qkv) {  // heads behind those of q
      const std::size_t head = static_cast<std::size_t>(problem.D) * size_of(problem.dtype);
      const auto* qkv = q_.as<std::byte>();
      params_.k = qkv + static_cast<std::size_t>(problem.H) * head;
      params_.v = qkv + static_cast<std::size_t>(problem.H + problem.G) * head;
    }
    params_.k_scale = k_scale_.as<float>();  // in absorbed MLA of the latent, which is v too
    params_.v_scale = problem.form == Form::absorbed ? k_scale_.as<float>() : v_scale_.as<float>();
    params_.block_table = block_table_.as<int>();
    params_.lens = lens_.as<int>();
    params_.alibi_slopes = alibi_slopes_.as<float>();
    params_.attn_bias = attn_bias_.as<void>();
    params_.attn_mask = attn_mask_.as<std::uint8_t>();
    params_.sinks = sinks_.as<float>();
    params_.o = o_.as<void>();
    params_.lse = lse_.as<float>();
  }

  const AttentionParams& params() const { return params_; }

  /// Waits for the kernel; throws KernelFault for what it did wrong.
  void copy_back() {
    o_.copy_back();
    lse_.copy_back();
  }

 private:
  static std::span<const std::byte> bytes_of(const TensorSet& inputs, const char* name) {
    return name == nullptr ? std::span<const std::byte>{} : inputs.at(name).bytes();
  }

  AttentionParams params_;
  simt::DeviceInput q_, k_, v_, k_scale_, v_scale_, block_table_, lens_;  // from v_ on: nothing, at
                                                                          // null, where not needed
  simt::DeviceInput alibi_slopes_, attn_bias_, attn_mask_, sinks_;
  simt::DeviceOutput o_, lse_;
};

}  // namespace attest::ATTEST_BACKEND
