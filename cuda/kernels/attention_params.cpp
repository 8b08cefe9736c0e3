#include "cuda/kernels/attention_params.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "cases/error.h"

namespace attest {
namespace {

constexpr Index kMaxGrid = 65535;  // along y and z (CUDA Programming Guide, compute capabilities)

Strides contiguous(Index S, Index heads, Index width) {
  return {.b = S * heads * width, .s = heads * width, .h = width};
}

}  // namespace

Capacity capacity_of(const Problem& p) {
  if (p.D <= 64 && p.Dv <= 64) return Capacity::d64;
  return p.D <= 128 ? Capacity::d128 : Capacity::d192_128;
}

int score_width(Capacity capacity) {
  switch (capacity) {
    case Capacity::d64:
      return 64;
    case Capacity::d128:
      return 128;
    case Capacity::d192_128:
      return 192;
  }
  throw Error("capacity: must be one of the enumerators");
}

Index score_chain(const Problem& p) { return score_width(capacity_of(p)) / 16; }

std::string check_rows(const Problem& p, Index max_D, Index max_Dv) {
  if (p.dtype != Dtype::bf16 && p.dtype != Dtype::fp16)
    return concat("dtype must be bf16 or fp16, got ", name(p.dtype));
  if (p.D % 8 != 0) return concat("D must be a multiple of 8, got D=", p.D);
  if (p.Dv % 8 != 0) return concat("Dv must be a multiple of 8, got Dv=", p.Dv);
  if (p.D > max_D) return concat("D must be at most ", max_D, ", got D=", p.D);
  if (p.Dv > max_Dv) return concat("Dv must be at most ", max_Dv, ", got Dv=", p.Dv);
  if (p.B * p.G > kMaxGrid)
    return concat("B * G must be at most ", kMaxGrid, ", got B=", p.B, " G=", p.G);
  return {};
}

std::string check_attention(const Problem& p) {
  if (p.form == Form::absorbed) return "form must be expanded, got absorbed";
  return check_rows(p, 192, 128);
}

double softmax_scale(const Problem& p) {
  if (p.variant != Variant::mla) return 1.0 / std::sqrt(static_cast<double>(p.D));
  // 1 without YaRN: nothing else has an mscale_all_dim.
  const double mscale = 0.1 * p.rope.mscale_all_dim * std::log(p.rope.factor) + 1;
  return mscale * mscale / std::sqrt(static_cast<double>(p.Dn + p.Dr));
}

AttentionParams attention_params(const Problem& p) {
  AttentionParams params{};
  params.q_stride = contiguous(p.Sq, p.H, p.D);
  params.k_stride = contiguous(p.Sk, p.G, p.D);
  params.v_stride = contiguous(p.Sk, p.G, p.Dv);
  params.o_stride = contiguous(p.Sq, p.H, p.Dv);
  params.B = static_cast<int>(p.B);
  params.Sq = static_cast<int>(p.Sq);
  params.Sk = static_cast<int>(p.Sk);
  params.H = static_cast<int>(p.H);
  params.G = static_cast<int>(p.G);
  params.D = static_cast<int>(p.D);
  params.Dv = static_cast<int>(p.Dv);
  params.causal = p.mask != Mask::none;
  params.diagonal = p.mask == Mask::causal ? params.Sk - params.Sq : 0;
  params.scale_log2 = static_cast<float>(softmax_scale(p) * std::numbers::log2e);
  return params;
}

Index key_tiles(Index keys, Index block_k) { return (keys + block_k - 1) / block_k; }

Index packed_rows(const Problem& p) { return p.H / p.G * p.Sq; }

Index choose_splits(Index blocks, Index tiles, Index requested) {
  // More would make the merge longer than the attention.
  constexpr Index kMaxSplits = 256;
  if (requested > 0) return std::min(requested, kMaxSplits);
  // Enough blocks for a large GPU, but at least four tiles of keys each: below that the merge costs
  // more than the parallelism brings.
  constexpr Index kTargetBlocks = 264, kMinTiles = 4;
  const Index wanted = (kTargetBlocks + blocks - 1) / blocks;
  return std::clamp<Index>(tiles / kMinTiles, 1, std::min(wanted, kMaxSplits));
}

}  // namespace attest
