#pragma once

#include <string>
#include <string_view>

#include "cases/tensor.h"

namespace attest {

/// The order of the axes of q, k, v and o in memory, the last one contiguous; Megatron-LM has sbhd.
/// qkv: one tensor qkv [B,S,H+2G,D] holds q, k and v (FlashAttention's packed form), o is bshd.
enum class Layout { bshd, sbhd, bhsd, qkv };

std::string_view name(Layout);
Layout parse_layout(std::string_view);

/// The letters of q, k, v and o: BSHD, SBHD, BHSD.
std::string letters(Layout);

/// The same elements seen in another order of axes; `letters` are those of x, rearranged.
TensorView rearranged(const Tensor& x, std::string_view letters);

/// The same elements stored in another order of axes.
Tensor stored_as(const Tensor& x, const std::string& letters);

/// Positions first .. first + count - 1 of an axis.
TensorView slice(TensorView x, std::size_t axis, Index first, Index count);

}  // namespace attest
