#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cases/problem.h"
#include "cases/tensor.h"
#include "cases/truth.h"

namespace attest::reference {

/// Conditioning is what the tolerance needs beside the outputs; it takes about three times as long.
enum class Emit { outputs, outputs_and_conditioning };

/// Computes a problem in fp64 from the values that its inputs hold after rounding to their type.
///
///   q [B,Sq,H,D]  k [B,Sk,G,D]  v [B,Sk,G,Dv], any strides, any floating-point types
///
/// The result is described in cases/truth.h. It has the same bits for any number of OpenMP threads
/// and for either Emit; between instruction sets it differs by a few units of 2^-53. Keys behind
/// the last that a query sees are never read, and none from Problem::length(b) on. Memory beside
/// inputs and outputs: one batch entry in fp64 and, for each thread, two blocks of 64 x Sk scores.
///
/// Throws attest::Error when validate() refuses the problem, a shape does not fit it, or an input
/// that is read holds an infinity or NaN. Problem::dtype may differ from the types of the inputs.
Truth attend(const Problem&, const TensorView& q, const TensorView& k, const TensorView& v, Emit);

/// The same for the tensors named q, k and v; in absorbed MLA q and latent_cache [B,Sk,D], whose
/// first Dv columns are the values. With pages, rows are gathered from k_cache and v_cache (or
/// latent_cache) by block_table first. seqlens_k, where it is there, must hold the problem's lens.
/// k_scale [G] and v_scale [G] (absorbed MLA: k_scale of both) multiply k and v of problems with
/// kv. alibi_slopes [H], sinks [H], attn_bias and attn_mask (Problem::pair_shape) enter the scores
/// where the problem has them; attn_bias may hold -inf.
Truth attend(const Problem&, const TensorSet& inputs, Emit);

/// Multiplies q k^T: the problem's scale, if it has one. Else 1 / sqrt(D). MLA:
/// mla_scale_factor(rope) / sqrt(Dn + Dr) (rope.h) in both forms, also where absorbed queries and
/// keys are wider.
double softmax_scale(const Problem&);

/// The instruction set that attend() uses: "x86-64", "x86-64-v3" (AVX2, FMA), "x86-64-v4"
/// (AVX-512), or "generic" on other machines. The best one that the processor has, unless chosen.
std::string_view instruction_set();

/// Those that this build holds and this processor can run, slowest first.
std::vector<std::string> instruction_sets();

/// Version of Eigen that the reference was compiled with.
std::string_view eigen_version();

/// Chooses one of instruction_sets(), or the best one again for an empty name. Not to be called
/// while attend() runs. Throws attest::Error for a name that is not in the list.
void choose_instruction_set(std::string_view name);

/// Floating-point operations per second that `threads` threads reach together on independent
/// multiply-add chains in the chosen instruction set: the ceiling for attend(). Takes about 50 ms.
/// Throws attest::Error unless threads >= 1.
double fma_peak_flops(int threads);

}  // namespace attest::reference
