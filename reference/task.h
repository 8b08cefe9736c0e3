#pragma once

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest::reference {

/// Where the conditioning of cases/truth.h goes. All null when nobody asked for it.
struct ConditioningOutputs {
  double *abs_mag, *abs_mag_a, *abs_mag_gap, *second_moment, *visible_abs_v;  // [B, Sq, H, Dv]
  double *visible, *row_max, *row_sum, *mean_a, *mean_gap, *max_a, *max_gap,
      *max_raises;  // [B, H, Sq]
};

/// A checked problem with its tensors, in types that are the same in every instruction set: code
/// built for one must not share Eigen objects with code built for another, whose alignment differs.
struct Task {
  Index B, Sq, Sk, H, G, D, Dv;
  Form form;     // of mla
  Index Dn, Dr;  // of mla
  Mask mask;
  Window window;
  double scale;
  double softcap;               // 0: none
  const double* alibi_slopes;   // [H]                          null: none, like those below
  const TensorView* attn_bias;  // [1 or B, 1 or H, Sq, Sk]
  const TensorView* attn_mask;  // [1 or B, 1 or H, Sq, Sk]     true: masked out
  const double* sinks;          // [H]
  const double* k_scale;        // [G]  what k is multiplied by
  const double* v_scale;        // [G]
  const Index* lens;            // [B]  keys that each batch entry has
  const TensorView* q;          // [B, Sq, H, D]
  const TensorView* k;          // [B, Sk, G, D]   rows from lens[b] on are not read
  const TensorView* v;          // [B, Sk, G, Dv]
  double* o;                    // [B, Sq, H, Dv]
  double* lse;                  // [B, H, Sq]
  bool with_conditioning;
  ConditioningOutputs conditioning;
};

}  // namespace attest::reference
