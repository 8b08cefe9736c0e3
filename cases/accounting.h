#pragma once

#include <string_view>

#include "cases/preset.h"

namespace attest {

/// What a layer keeps of each token.
enum class CacheForm {
  model,     ///< what the model needs: G (D + Dv) numbers; MLA: L + Dr, the latent and the rope key
  expanded,  ///< keys and values of all heads, H (D + Dv); in MLA what the latent stands for
  mha,       ///< the model with G = H and no rope part of its own: H (D + Dv); MLA: H (Dn + Dv)
  latent_without_rope,  ///< MLA: L. Often quoted, but scores need the rope key too
  fp8_latent,  ///< MLA: L bytes e4m3, an fp32 scale for each 128 of them, Dr numbers of 2 bytes
};

/// How much is cached, and as what. Length counts the tokens of one sequence.
struct CacheExtent {
  Index length = 8192;
  Index batch = 1;
  Dtype dtype = Dtype::bf16;  ///< fp8_latent does not look at it
};

struct CacheBytes {
  Index token = 0;  ///< of one token in one layer
  Index layer = 0;  ///< token * length * batch
  Index model = 0;  ///< layer * layers
};

/// Parameters of attention.
struct AttentionParameters {
  Index projections = 0;  ///< matrices: q, k, v (or their down and up parts) and o
  Index others = 0;       ///< biases, weights of norms, sinks; no table of positions
};

/// Floating-point operations (two for a multiply-add) of the attention of all layers, batch
/// included; norms, rope and softmax are not counted.
struct AttentionFlops {
  Index projections = 0;
  Index core = 0;  ///< q k^T and p v, over the keys that each query sees
};

/// All of these are exact. They throw attest::Error for a length or batch below 1, a dtype that is
/// no floating-point type, a form of MLA for another preset, and a result of 2^63 or more.

/// Numbers that a layer keeps of one token. Throws for fp8_latent, which is not of one type.
Index cache_elements(const Preset&, CacheForm);

CacheBytes cache_bytes(const Preset&, CacheForm, const CacheExtent&);

/// Bytes of the model's cache if a windowed layer keeps no more tokens than its window.
Index rolling_cache_bytes(const Preset&, const CacheExtent&);

AttentionParameters layer_parameters(const Preset&);
AttentionParameters model_parameters(const Preset&);

/// All tokens at once, MLA expanded.
AttentionFlops prefill_flops(const Preset&, const CacheExtent&);

/// One token more, whose own key is the last of `length`; MLA absorbed: scores and values are
/// those of one latent head, L + Dr and L wide.
AttentionFlops decode_flops(const Preset&, const CacheExtent&);

}  // namespace attest
