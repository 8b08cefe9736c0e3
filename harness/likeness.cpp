#include <algorithm>
#include <array>

#include "cases/error.h"
#include "cases/stages.h"
#include "harness/candidate.h"

namespace attest {
namespace {

constexpr std::array<Likeness, 3> kLikenesses = {
    {{.name = "flash-attention",
      .assumes = "tensor cores (16-wide MMAs) that add in fp32 and may truncate; softmax in fp32 "
                 "with a running maximum over blocks of 32 keys; p rounded to the case's 16-bit "
                 "type, the row sum adds it unrounded; capped scores within 2^-11",
      .mma = true,
      .arithmetic = Dtype::fp32,
      .u_exp = 0x1p-22,  // ex2.approx (PTX ISA)
      .p_type = std::nullopt,
      .block_k = 32},
     {.name = "naive-fp32",
      .assumes = "all of it in fp32, sums in any order, exp within 4 ulp, softmax over all keys at "
                 "once; p is not rounded further",
      .mma = false,
      .arithmetic = Dtype::fp32,
      .u_exp = 0x1p-21,
      .p_type = Dtype::fp32,
      .block_k = 0},
     {.name = "exact-fp64",
      .assumes =
          "all of it in fp64, sums in any order; o rounds to the type it is stored in, lse is fp64",
      .mma = false,
      .arithmetic = Dtype::fp64,
      .u_exp = 0x1p-50,
      .p_type = Dtype::fp64,
      .block_k = 0}}};

Index parts(Index whole, Index part) { return (whole + part - 1) / part; }

/// What the stages of a layer round beside its attention. Without MMAs every product is added by
/// itself, in any order, one more for each value that is folded in.
LayerRounding layer_rounding(const Likeness& like) {
  if (like.mma) return {};
  const double u = unit_roundoff(like.arithmetic);
  return {.u_acc = u,
          .mma_width = 1,
          .mma_depth = 1,
          .u_a = u,
          .lanes = 1,
          .u_rsqrt = 4 * u,
          .u_sigmoid = 4 * u + like.u_exp};
}

}  // namespace

std::span<const Likeness> likenesses() { return kLikenesses; }

const Likeness& find_likeness(std::string_view name) {
  std::string known;
  for (const Likeness& likeness : kLikenesses) {
    if (likeness.name == name) return likeness;
    known += concat(' ', likeness.name);
  }
  throw Error(concat("like: must be one of", known, ", got ", name,
                     "; attest compare --list-like says what each assumes"));
}

const Likeness& likeness_for(Dtype o_type) {
  if (o_type == Dtype::fp64) return find_likeness("exact-fp64");
  return find_likeness(o_type == Dtype::fp32 ? "naive-fp32" : "flash-attention");
}

Descriptor descriptor_of(const Likeness& like, const Problem& p, Dtype o_type,
                         const CandidateOptions& options) {
  if (p.level == Level::layer) {
    Descriptor d = descriptor_of(like, core_of(p), o_type, options);
    d.layer = layer_rounding(like);
    return d;
  }
  const Index all = std::max<Index>(p.Sk, 1), splits = std::max<Index>(options.splits, 1);
  const Index wanted = options.block_k > 0 ? options.block_k : like.block_k;
  const Index block_k = wanted > 0 ? wanted : all;
  const Index keys = std::min(all, block_k * parts(parts(all, block_k), splits));  // of one split
  const double u = unit_roundoff(like.arithmetic);
  const auto chain = [&](Index terms) { return like.mma ? parts(terms, 16) : terms + 2; };
  const Index per_link = like.mma ? 17 : 1;
  return {.u_acc = like.mma ? 0x1p-23 : u,
          .depth_qk = per_link * chain(p.D),
          .chain_qk = chain(p.D),
          .depth_pv = per_link * chain(keys),
          .chain_pv = chain(keys),
          .depth_l = keys,
          .u_a = u,
          .u_exp = like.u_exp,
          .p_type = options.p_type.value_or(like.p_type.value_or(p.dtype)),
          .l_from_rounded_p = false,
          .block_k = block_k,
          .splits = splits,
          .o_type = o_type,
          .u_tanh = like.mma ? 0x1p-11 : 4 * u};  // tanh.approx (PTX ISA)
}

}  // namespace attest
