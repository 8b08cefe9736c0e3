#pragma once

#include "cases/descriptor.h"
#include "cases/problem.h"
#include "cases/truth.h"

/// A small attention kernel with fp32 arithmetic and seedable defects, and the truth beside it, for
/// the tests of the judge. Its loops are its own: nothing is shared with reference/ or cuda/.
namespace attest::simulated {

/// One plausible bug of a real kernel each.
enum class Defect {
  none,
  p_truncated,       ///< p rounded toward zero
  l_too_large,       ///< row sum times 1 + 1e-3
  exp_slope,         ///< exponent times 1 + 3e-4
  drop_last_key,     ///< the last visible key is not seen
  no_rescale,        ///< o keeps its old scale when a later block raises the maximum
  plain_average,     ///< splits merged with equal weights
  bf16_accumulator,  ///< o rounded to bf16 after every block
  l_from_rounded_p,  ///< row sum of the rounded p, as a descriptor may declare
  unshifted,         ///< running maximum starts at 0
  unused_slot,       ///< rows that see all keys read the slot behind them, where there is one
  finite_slot        ///< the same, but only what is neither NaN nor infinite
};

struct Options {
  Dtype p_type = Dtype::bf16, o_type = Dtype::bf16;
  Index block_k = 32, splits = 1;
  bool truncating_mma = true;  ///< steps of 16 terms, each sum cut to fp32; else one FMA a term
  Defect defect = Defect::none;
};

/// Options of a kernel for the problem's dtype: p and o of that type (fp32 for wider ones).
Options options_for(const Problem&);

/// What a kernel with these options declares.
Descriptor descriptor_of(const Problem&, const Options&);

/// o [B,Sq,H,Dv] of o_type and lse [B,H,Sq] fp32.
TensorSet run(const Problem&, const TensorSet& inputs, const Options&);

/// Outputs and conditioning of cases/truth.h, in double.
Truth truth_of(const Problem&, const TensorSet& inputs);

}  // namespace attest::simulated
