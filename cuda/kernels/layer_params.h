#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "cases/stages.h"
#include "cuda/kernels/attention_params.h"
#include "cuda/kernels/elementwise.h"
#include "cuda/kernels/gemm.h"
#include "cuda/kernels/rope_append.h"

// What the kernels of a layer are given, stage by stage: names, shapes and layouts of its tensors
// are those of cases/stages.h.
namespace attest {

/// Where a kernel finds a tensor of a layer, by name; a cache is that of the outputs, `cos` and
/// `sin` are those of rope_table(). Null for a tensor that the layer does not have.
using PointerOf = std::function<void*(std::string_view name)>;

struct GemmStage {
  WeightLayout layout;
  GemmParams params;
};

/// Of the stages of StageKind::gemm.
GemmStage gemm_stage(const Problem&, std::string_view stage, const PointerOf&);

/// q_absorb, beside its gemm: the rotary part of q_rot to q_latent.
CopyParams q_pe_copy(const Problem&, const PointerOf&);

/// q_norm: a row transform without rotation, of c_q to c_q_norm.
RopeAppendParams q_norm_params(const Problem&, const PointerOf&);

RopeAppendParams rope_append_params(const Problem&, const PointerOf&);

/// k_nope, then k_pe of every head, to k; v.
std::vector<CopyParams> assemble_copies(const Problem&, const PointerOf&);

/// Of core_of(layer).
AttentionParams attention_stage_params(const Problem& layer, const PointerOf&);

GateParams gate_params(const Problem&, const PointerOf&);

}  // namespace attest
