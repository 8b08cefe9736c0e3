#pragma once

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <span>
#include <string>

#include "cases/truth.h"
#include "harness/rounding.h"

/// Truths whose every number a test chooses, for problems of any shape.
namespace attest::by_hand {

/// Conditioning and outputs, the same in every element and row.
struct Values {
  double o = 0.5, abs_mag = 1, abs_mag_a = 0, abs_mag_gap = 0, second_moment = 0, visible_abs_v = 4;
  double lse = 1, row_max = 0, row_sum = 2, mean_a = 0, mean_gap = 0, max_a = 0, max_gap = 1,
         max_raises = 1;
};

inline std::span<double> put(TensorSet& set, const std::string& name, const std::string& layout,
                             const std::vector<Index>& shape, double value) {
  const auto all = set.add(Tensor(name, Dtype::fp64, layout, shape)).as<double>();
  std::fill(all.begin(), all.end(), value);
  return all;
}

inline Truth truth(const Problem& p, const Values& v) {
  Truth t;
  const std::vector<Index> element{p.B, p.Sq, p.H, p.Dv}, row{p.B, p.H, p.Sq};
  put(t.outputs, "o", "BSHD", element, v.o);
  put(t.outputs, "lse", "BHS", row, v.lse);
  put(t.conditioning, "abs_mag", "BSHD", element, v.abs_mag);
  put(t.conditioning, "abs_mag_a", "BSHD", element, v.abs_mag_a);
  put(t.conditioning, "abs_mag_gap", "BSHD", element, v.abs_mag_gap);
  put(t.conditioning, "second_moment", "BSHD", element, v.second_moment);
  put(t.conditioning, "visible_abs_v", "BSHD", element, v.visible_abs_v);
  const auto seen = put(t.conditioning, "visible", "BHS", row, 0);
  for (Index b = 0; b < p.B; ++b)
    for (Index h = 0; h < p.H; ++h)
      for (Index i = 0; i < p.Sq; ++i)
        seen[static_cast<std::size_t>((b * p.H + h) * p.Sq + i)] =
            static_cast<double>(p.visible(b, i).size());
  put(t.conditioning, "row_max", "BHS", row, v.row_max);
  put(t.conditioning, "row_sum", "BHS", row, v.row_sum);
  put(t.conditioning, "mean_a", "BHS", row, v.mean_a);
  put(t.conditioning, "mean_gap", "BHS", row, v.mean_gap);
  put(t.conditioning, "max_a", "BHS", row, v.max_a);
  put(t.conditioning, "max_gap", "BHS", row, v.max_gap);
  put(t.conditioning, "max_raises", "BHS", row, v.max_raises);
  return t;
}

/// A kernel that rounds o only, to bf16; tests switch on one source of error each.
inline Descriptor silent() {
  return {.u_acc = 0,
          .depth_qk = 8,
          .chain_qk = 4,
          .depth_pv = 8,
          .chain_pv = 4,
          .depth_l = 8,
          .u_a = 0,
          .u_exp = 0,
          .p_type = Dtype::fp64,
          .l_from_rounded_p = false,
          .block_k = 4,
          .splits = 1,
          .o_type = Dtype::bf16};
}

/// The truth as a perfect kernel stores it: o rounded to `o_type`, lse to fp32.
inline TensorSet perfect(const Truth& t, Dtype o_type) {
  TensorSet outputs;
  for (const auto& [name, dtype] : {std::pair{"o", o_type}, {"lse", Dtype::fp32}}) {
    const Tensor& want = t.outputs.at(name);
    Tensor& got = outputs.add(Tensor(name, dtype, want.layout(), want.shape()));
    encode(dtype, want.as<double>(), got.bytes().data());
  }
  return outputs;
}

/// Stores one element of a tensor.
inline void poke(Tensor& tensor, Index n, double value) {
  encode(tensor.dtype(), value,
         tensor.bytes().data() + static_cast<std::size_t>(n) * size_of(tensor.dtype()));
}

}  // namespace attest::by_hand
