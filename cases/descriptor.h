#pragma once

#include "cases/dtype.h"

namespace attest {

/// What the stages of a layer round beside its attention. Products accumulate in mma_width-wide
/// MMAs of u_acc; norms add squares in `lanes` chains and then over the lanes.
struct LayerRounding {
  double u_acc = 0x1p-23;      ///< unit roundoff of the MMA accumulator
  Index mma_width = 16;        ///< products of one MMA
  Index mma_depth = 17;        ///< roundings that one of its terms can pass through
  double u_a = 0x1p-24;        ///< unit roundoff of the arithmetic beside the MMA
  Index lanes = 32;            ///< of a sum of squares
  double u_rsqrt = 0x1p-22;    ///< relative error of 1 / sqrt
  double u_sigmoid = 0x1p-20;  ///< relative error of the gate's sigmoid
};

/// What rounding a kernel declares for one problem; the tolerance is derived from it, never tuned.
/// Depths count the roundings that one term of a sum can pass through, in whatever order the
/// hardware adds: 17 for each 16-wide MMA. Chains count what follows one another: MMAs, or as many
/// fmaf as those have products, or additions where each is an instruction of its own.
struct Descriptor {
  double u_acc;              ///< unit roundoff of the MMA accumulator (2^-23 where it may truncate)
  Index depth_qk;            ///< of q k^T
  Index chain_qk;            ///< of q k^T
  Index depth_pv;            ///< of p v, over the keys one split sees
  Index chain_pv;            ///< of p v, the same
  Index depth_l;             ///< of the row sum
  double u_a;                ///< unit roundoff of the arithmetic beside the MMA (fp32: 2^-24)
  double u_exp;              ///< relative error of the exponential
  Dtype p_type;              ///< type that p is rounded to before p v
  bool l_from_rounded_p;     ///< the row sum adds the rounded p
  Index block_k;             ///< keys per step of the running maximum
  Index splits;              ///< parts of the keys whose partial results are merged (1: no merge)
  Dtype o_type;              ///< type of o as stored; lse is fp32
  double u_tanh = 0x1p-22;   ///< relative error of tanh, where scores are capped (CUDA: 2 ulp)
  LayerRounding layer = {};  ///< of level=layer
};

}  // namespace attest
