#pragma once

#include <vector>

#include "cases/problem.h"
#include "cases/stages.h"

namespace attest {

/// The tensors that a problem is given, in order. Of level=core:
///
///   q [B,Sq,H,D]  k [B,Sk,G,D]  v [B,Sk,G,Dv]       absorbed MLA: q, latent_cache [B,Sk,D]
///   with a layout their axes are in its order; layout=qkv: qkv [B,Sq,H+2G,D]
///   with pages: k_cache [pool_pages,page,G,D]  v_cache [..,Dv]  (latent_cache [pool_pages,page,D])
///   block_table [B,table_width] int32               where page > 0
///   seqlens_k [B] int32                             where lens are given
///   k_scale [G] fp32, and v_scale [G] but in absorbed MLA    where kv is given: k and v (the
///                                                   caches) are of that type, to be multiplied
///   alibi_slopes [H] fp32, attn_bias and attn_mask [1|B,1|H,Sq,Sk] dtype and bool, sinks [H] fp32
///
/// Of level=layer: layer_weights(), layer_caches(), seqlens_k.
std::vector<TensorSpec> inputs_of(const Problem&);

/// What a problem of level=core gives: o [B,Sq,H,Dv] in its layout, lse [B,H,Sq] fp32.
std::vector<TensorSpec> outputs_of(const Problem&);

}  // namespace attest
