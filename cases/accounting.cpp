#include "cases/accounting.h"

#include <algorithm>
#include <initializer_list>

#include "cases/error.h"

namespace attest {
namespace {

[[noreturn]] void refuse_size() {
  throw Error(
      "accounting: a size must be less than 2^63, got more; ask for a smaller length "
      "or batch");
}

Index product(std::initializer_list<Index> factors) {
  Index result = 1;
  for (const Index factor : factors)
    if (__builtin_mul_overflow(result, factor, &result)) refuse_size();
  return result;
}

Index sum(std::initializer_list<Index> terms) {
  Index result = 0;
  for (const Index term : terms)
    if (__builtin_add_overflow(result, term, &result)) refuse_size();
  return result;
}

void check(const CacheExtent& extent) {
  ATTEST_CHECK(extent.length >= 1 && extent.batch >= 1,
               "accounting: length and batch must be at least 1, got length=", extent.length,
               " batch=", extent.batch);
  ATTEST_CHECK(is_float(extent.dtype), "accounting: dtype must be a floating-point type, got ",
               name(extent.dtype));
}

Index token_bytes(const Preset& preset, CacheForm form, Dtype dtype) {
  if (form != CacheForm::fp8_latent)
    return product({cache_elements(preset, form), static_cast<Index>(size_of(dtype))});
  ATTEST_CHECK(preset.is_mla(), "accounting: the form must be one that ", preset.name,
               " has, got fp8_latent, which is for MLA");
  return sum({preset.L, product({4, (preset.L + 127) / 128}), product({2, preset.Dr})});
}

/// Query-key pairs of one head: query i sees keys 0 .. i, the last `window` of them if it is not 0.
Index pairs(const Preset& preset, Index length, Index window) {
  if (!preset.causal) return product({length, length});
  const Index seen = window == 0 ? length : std::min(window, length);
  const Index growing =
      seen % 2 == 0 ? product({seen / 2, sum({seen, 1})}) : product({seen, seen / 2 + 1});
  return sum({growing, product({length - seen, seen})});
}

/// Sum over layers of what one layer without and one with a window count.
Index over_layers(const Preset& preset, Index global, Index windowed) {
  const Index with_window = preset.windowed_layers();
  return sum({product({preset.layers - with_window, global}), product({with_window, windowed})});
}

Index projection_flops(const Preset& preset, Index tokens) {
  return product({2, model_parameters(preset).projections, tokens});
}

}  // namespace

Index cache_elements(const Preset& p, CacheForm form) {
  const bool is_dense_form =
      form == CacheForm::model || form == CacheForm::expanded || form == CacheForm::mha;
  ATTEST_CHECK(form != CacheForm::fp8_latent && (is_dense_form || p.is_mla()),
               "accounting: the form must be of one type and one that ", p.name,
               " has, got a form of MLA");
  switch (form) {
    case CacheForm::model:
      return p.is_mla() ? sum({p.L, p.Dr}) : product({p.G, sum({p.D, p.Dv})});
    case CacheForm::mha:
      return product({p.H, sum({p.is_mla() ? p.Dn : p.D, p.Dv})});
    case CacheForm::latent_without_rope:
      return p.L;
    default:
      return product({p.H, sum({p.D, p.Dv})});
  }
}

CacheBytes cache_bytes(const Preset& preset, CacheForm form, const CacheExtent& extent) {
  check(extent);
  CacheBytes bytes;
  bytes.token = token_bytes(preset, form, extent.dtype);
  bytes.layer = product({bytes.token, extent.length, extent.batch});
  bytes.model = product({bytes.layer, preset.layers});
  return bytes;
}

Index rolling_cache_bytes(const Preset& preset, const CacheExtent& extent) {
  CacheExtent kept = extent;
  if (preset.window.size > 0) kept.length = std::min(extent.length, preset.window.size);
  return over_layers(preset, cache_bytes(preset, CacheForm::model, extent).layer,
                     cache_bytes(preset, CacheForm::model, kept).layer);
}

AttentionParameters layer_parameters(const Preset& p) {
  if (p.is_mla()) {
    const Index q = p.Lq > 0 ? sum({product({p.E, p.Lq}), product({p.Lq, p.H, p.D})})
                             : product({p.E, p.H, p.D});
    const Index kv = sum({product({p.E, p.L + p.Dr}), product({p.L, p.H, p.Dn + p.Dv})});
    const Index norms = p.Lq + p.L;
    return {sum({q, kv, product({p.H, p.Dv, p.E})}), norms + (p.o_bias ? p.E : 0)};
  }
  const Index rows = sum({product({p.H, p.D}), product({p.G, p.D + p.Dv})});  // of w_qkv
  const Index others = sum({p.qkv_bias ? rows : 0, p.qk_norm != Norm::none ? 2 * p.D : 0,
                            p.o_bias ? p.E : 0, p.sinks ? p.H : 0});
  return {sum({product({p.E, rows}), product({p.H, p.Dv, p.E})}), others};
}

AttentionParameters model_parameters(const Preset& preset) {
  const AttentionParameters layer = layer_parameters(preset);
  return {product({preset.layers, layer.projections}), product({preset.layers, layer.others})};
}

AttentionFlops prefill_flops(const Preset& p, const CacheExtent& extent) {
  check(extent);
  const Index each = product({2, extent.batch, p.H, p.D + p.Dv});
  AttentionFlops flops;
  flops.projections = projection_flops(p, product({extent.batch, extent.length}));
  flops.core = product(
      {each, over_layers(p, pairs(p, extent.length, 0), pairs(p, extent.length, p.window.size))});
  return flops;
}

AttentionFlops decode_flops(const Preset& p, const CacheExtent& extent) {
  check(extent);
  const Index width = p.is_mla() ? p.L + p.Dr + p.L : p.D + p.Dv;
  const Index windowed = p.window.size > 0 ? std::min(extent.length, p.window.size) : extent.length;
  AttentionFlops flops;
  // Absorbed MLA moves w_ukv to q and o: as many multiply-adds a token as expanding its latent.
  flops.projections = projection_flops(p, extent.batch);
  flops.core = product({2, extent.batch, p.H, width, over_layers(p, extent.length, windowed)});
  return flops;
}

}  // namespace attest
