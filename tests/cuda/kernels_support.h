#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "cuda/kernel.h"

// Inputs, runs and an oracle for the tests of the attention kernels. Nothing here shares code with
// the kernels or with reference/.
namespace attest::test {

/// Bits of the bf16 or fp16 number nearest to x, ties to even.
std::uint16_t encode(Dtype, double x);

/// Value of element [b, s, h, d] before it is rounded to the problem's dtype.
using Value = std::function<double(Index b, Index s, Index h, Index d)>;

/// q [B,Sq,H,D], k [B,Sk,G,D], v [B,Sk,G,Dv]
TensorSet make_inputs(const Problem&, const Value& q, const Value& k, const Value& v);

/// Reproducible values, about normal with deviation 1, different for every name and element.
Value noise(std::string_view name, double deviation = 1.0);

/// q, k and v of noise, q and k widened so that the softmax is neither flat nor one-hot.
TensorSet noise_inputs(const Problem&);

/// o and lse, allocated and poisoned with NaN.
TensorSet run(const Kernel&, const Problem&, const TensorSet& inputs, Index splits = 0,
              Schedule = 0);

struct Expected {
  std::vector<double> o;        ///< [B,Sq,H,Dv]
  std::vector<double> abs_mag;  ///< [B,Sq,H,Dv]  sum_j p_j |v_j|
  std::vector<double> lse;      ///< [B,H,Sq]
};

/// Attention in double, one row at a time, straight from the definition.
Expected expected(const Problem&, const TensorSet& inputs);

/// Worst error of o in units of u (abs_mag + |o|), u the unit roundoff of the dtype, and of lse in
/// units of 1e-6 (1 + |lse|). Infinity where a NaN or the wrong infinity turns up.
struct Errors {
  double o = 0, lse = 0;
};
Errors errors(const Problem&, const TensorSet& outputs, const Expected&);

bool same_bits(const TensorSet&, const TensorSet&);

}  // namespace attest::test
