#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cases/stages.h"
#include "reference/reference.h"

// The stages of a layer one by one (cases/stages.h), for layer.cpp.
namespace attest::reference {

/// What a stage reads; see layer_stage(). Tensors fit the problem.
struct StageInputs {
  const Problem& p;
  const TensorSet& inputs;
  const TensorSet& left;
  Emit emit;
};

/// A tensor that a stage leaves, and its magnitude; null when that is not wanted.
struct Output {
  double* y;
  double* magnitude;

  Output from(Index n) const { return {y + n, magnitude ? magnitude + n : nullptr}; }
};

/// Adds an output to the truth, all zero: 0 is the magnitude of a copy.
Output add_output(Truth&, Emit, std::string name, std::string layout, std::vector<Index> shape);

/// All values of a tensor. Throws attest::Error when one of them is an infinity or NaN.
std::vector<double> values(const Tensor&);

/// The rows of a cache that hold tokens when `missing` of the last ones are not there yet: row
/// j < length(b) - missing of each batch entry, 0 elsewhere, where nothing is read.
/// `cache` [B,Sk,...], or with a block_table [pages,page,...]  ->  [B,Sk,...] of the same type.
Tensor rows_in_use(const Problem&, const Tensor& cache, const Tensor* block_table, Index missing);

/// The same of the cache of this name in `from`, found by the problem's pages.
Tensor cached_rows(const StageInputs&, const TensorSet& from, std::string_view name, Index missing);

/// Turns heads of x [B,Sq,heads,stride] at the positions of their tokens: the first
/// rotary_width(rope, width) values of each. Magnitudes of normed x are there; of others, what
/// turns has that of its value.
void turn(const Problem&, Index width, Index heads, Index stride, bool normed, Output x);

/// Stages of MHA, GQA and MQA.
Truth rope_append_of_heads(const StageInputs&);
Truth gate(const StageInputs&);

/// Stages of MLA.
Truth q_norm(const StageInputs&);
Truth rope_append_of_latents(const StageInputs&);
Truth kv_up(const StageInputs&);
Truth assemble(const StageInputs&);
Truth q_absorb(const StageInputs&);
Truth v_up(const StageInputs&);

}  // namespace attest::reference
