#pragma once

#include <span>
#include <string_view>

namespace attest {

/// What the rounding errors of a fill look like, and so which gates may judge it.
enum class FillTag {
  iid,       ///< independent roundings: every statistical gate applies
  coherent,  ///< roundings that line up: only bounds that hold for any sign pattern apply
  exact,     ///< the answer is representable and must come out bit for bit
};

/// Named recipes for q, k and v; harness/inputs.cpp draws them.
enum class Fill {
  normal,
  um11,
  u01,
  peaked,
  flat,
  equal,
  bigpos,
  bigneg,
  offset,
  ascend,
  descend,
  outlier,
  heavy,
  cancel,
  twolevel,
  onehot,
  needle,
  tailhot,
  denormal
};

struct FillInfo {
  Fill fill;
  std::string_view name;
  FillTag tag;
  bool zero_mean_v;          ///< V has mean zero: per-row statistics apply too
  bool zero_mean_k;          ///< so has K, which in absorbed MLA is V too
  bool of_latent;            ///< works where the values are the keys
  bool of_layer;             ///< makes hidden states, not scores that a layer would not reach
  std::string_view exposes;  ///< one line for `attest list --fills`
};

std::span<const FillInfo> fills();
const FillInfo& info(Fill);
std::string_view name(Fill);

/// Throws attest::Error for an unknown name.
Fill parse_fill(std::string_view);

}  // namespace attest
