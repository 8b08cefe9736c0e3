#pragma once

#include <string>
#include <string_view>

#include "cases/dtype.h"

namespace attest {

/// How the frequencies of a rotary embedding are stretched beyond the context of the training.
/// Names in case strings: none default linear llama3 yarn.
enum class RopeKind {
  none,      ///< no rotary embedding
  unscaled,  ///< RoFormer, arXiv:2104.09864 ("default")
  linear,    ///< position interpolation, arXiv:2306.15595: every frequency over `factor`
  llama3,    ///< Llama 3.1: low frequencies over `factor`, a blend between two wavelengths
  yarn,      ///< YaRN, arXiv:2309.00071: the same by pair, and factors on cos, sin and the softmax
};

/// Which two of the Dr rotated values form pair r, and where they go.
/// Names in case strings: half interleaved deinterleave.
enum class RopePairing {
  half,          ///< x[r], x[r + Dr/2], in place (GPT-NeoX, LLaMA in HF, Megatron's default)
  interleaved,   ///< x[2r], x[2r + 1], in place (RoFormer, GPT-J, DeepSeek)
  deinterleave,  ///< x[2r], x[2r + 1], written to r and r + Dr/2 (Megatron MLA, DeepSeek-V3 in HF)
};

/// A rotary position embedding, a value. Defaults never change: ids and goldens hang on them.
///
/// Its text in a case string is the kind and, where they differ from their default, the members
/// below in their order: `yarn:theta:50000,factor:32,orig:4096,truncate:false`.
struct Rope {
  RopeKind kind = RopeKind::none;
  double theta = 10000;                     ///< base of the frequencies theta^(-2r/Dr)
  Index dim = 0;                            ///< Dr: the first dim values of a head turn; 0: all
  RopePairing pairing = RopePairing::half;  ///< which values turn together
  double factor = 1;            ///< linear, llama3, yarn: how much longer the context gets
  Index orig = 0;               ///< llama3, yarn: context of the training, positions; no default
  double beta_fast = 32;        ///< yarn: pairs that turn more often than this within orig stay
  double beta_slow = 1;         ///< yarn: pairs that turn less often are divided by factor
  double mscale = 1;            ///< yarn: concentration, see reference/rope.h
  double mscale_all_dim = 0;    ///< yarn: its share that the softmax scale of MLA takes over
  bool truncate = true;         ///< yarn: round the correction range to whole pairs
  double low_freq_factor = 1;   ///< llama3: wavelengths above orig / this are divided by factor
  double high_freq_factor = 4;  ///< llama3: wavelengths below orig / this stay

  bool operator==(const Rope&) const = default;
};

std::string_view name(RopeKind);
std::string_view name(RopePairing);

/// Number of values of a head that turn: Dr.
Index rotary_width(const Rope&, Index head_width);

/// Throws attest::Error that names the first rule which the embedding breaks on heads of this width
/// (for MLA that of the rotary part alone). A member that the kind does not have must be at its
/// default.
void check(const Rope&, Index head_width);

/// The canonical text; numbers are the shortest that read back equal.
std::string print(const Rope&);

/// Reads `KIND[:key:value,key:value...]`, keys in any order. Throws attest::Error for an unknown or
/// repeated key, one that the kind does not have, or a malformed value; check() knows the ranges.
Rope parse_rope(std::string_view);

}  // namespace attest
