#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cases/problem.h"
#include "cases/tensor.h"

// What a layer (level=layer) is made of: the tensors that enter, and the stages with the tensors
// that each of them leaves. Shapes only. Every stage is judged by itself, from the bits that the
// stage before it left.
//
// MHA, GQA, MQA, in the fused layout of Megatron-LM's SelfAttention: w_qkv holds, for each group g
// of R = H/G query heads, R blocks of D rows for q, R for the gate if there is one, one for k, one
// for v.
//
//   stage        leaves
//   qkv          qkv [B,Sq,(H+2G)D], with a gate (2H+2G)D           x w_qkv^T + b_qkv
//   rope_append  q_rot [B,Sq,H,D]; k_cache, v_cache [B,Sk,G,D]      norm, rotation, new rows
//   attention    o [B,Sq,H,D], lse [B,H,Sq]                         over all rows of the cache
//   gate         o_gated [B,Sq,H,D]                                 if gated: o sigmoid(gate)
//   out          y [B,Sq,E]                                         o w_o^T + b_o
//
// MLA (DeepSeek-V2, arXiv:2405.04434, section 2.1). latent_cache holds the normed latent (L values)
// and the rotated key (Dr values) of each token; w_ukv has for each head Dn rows of k, Dv of v.
//
//   q_down       c_q [B,Sq,Lq]                                      x w_dq^T; with Lq > 0 only
//   q_norm       c_q_norm [B,Sq,Lq]                                 RMS norm; with Lq > 0 only
//   q_up         q [B,Sq,H,Dn+Dr]                                   c_q_norm w_uq^T, or x w_q^T
//   kv_down      kv_down [B,Sq,L+Dr]                                x w_dkv^T
//   rope_append  q_rot [B,Sq,H,Dn+Dr]; latent_cache [B,Sk,L+Dr]     RMS norm of L, rotation of Dr
//   expanded:
//   kv_up        kv [B,Sk,H,Dn+Dv]                                  latents w_ukv^T
//   assemble     k [B,Sk,H,Dn+Dr], v [B,Sk,H,Dv]                    copies; k_pe for every head
//   attention    o [B,Sq,H,Dv], lse [B,H,Sq]
//   absorbed:
//   q_absorb     q_latent [B,Sq,H,L+Dr]                             q_nope w_uk of each head; q_pe
//   attention    u [B,Sq,H,L], lse [B,H,Sq]                         over the latents
//   v_up         o [B,Sq,H,Dv]                                      u w_uv^T of each head
//   both:
//   out          y [B,Sq,E]                                         o w_o^T
//
// With pages a cache is [pool_pages,page,...] instead of [B,Sk,...] and block_table finds its rows.
// Rows of kv, k and v from length(b) on are nobody's: they are not written and not judged.
namespace attest {

/// A tensor of a problem before it exists.
struct TensorSpec {
  std::string name, layout;
  std::vector<Index> shape;
  Dtype dtype;
};

Tensor make_tensor(const TensorSpec&);

enum class StageKind { gemm, norm, rope_append, assemble, attention, gate };

struct Stage {
  std::string_view name;
  StageKind kind;
  std::vector<TensorSpec> outputs;
};

/// The stages of a layer in the order in which they run. Throws attest::Error for a problem of
/// another level.
std::vector<Stage> stages(const Problem&);

/// Everything that its stages leave, in order. `y` is the last.
std::vector<TensorSpec> layer_outputs(const Problem&);

/// x [B,Sq,E] and the weights, all of problem.dtype, matrices [rows, columns] with a bias [rows]:
///   w_qkv [(H+2G)D or (2H+2G)D, E] (b_qkv), w_q_norm w_k_norm [D] unless norm is l2 (with
///   norm=layer b_q_norm b_k_norm too), w_o [E, H Dv] (b_o);
///   of mla: w_dq [Lq,E], w_q_norm [Lq], w_uq [H(Dn+Dr),Lq], or w_q [H(Dn+Dr),E]; w_dkv [L+Dr,E],
///   w_kv_norm [L], w_ukv [H(Dn+Dv),L], w_o [E,H Dv]
/// With sink=learned then sinks [H] fp32.
std::vector<TensorSpec> layer_weights(const Problem&);

/// The caches before the call, named and shaped as the stages leave them, whose first
/// length(b) - Sq rows hold earlier tokens; then block_table [B,table_width] int32 where page > 0.
std::vector<TensorSpec> layer_caches(const Problem&);

/// The core attention that a layer contains: the same tokens, widths as the attention stage has
/// them.
Problem core_of(const Problem& layer);

/// Rank `rank` of a layer with tp > 1, as a layer of its own with tp = 1: H/tp heads; G/tp groups,
/// or one where there are fewer groups than ranks.
Problem shard_of(const Problem& layer, Index rank);

/// Tokens that the cache holds before the call: length(b) - Sq.
inline Index cached_tokens(const Problem& p, Index b) { return p.length(b) - p.Sq; }

}  // namespace attest
