#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cases/dtype.h"
#include "cases/fill.h"
#include "cases/layer.h"
#include "cases/layout.h"
#include "cases/rope.h"
#include "cases/scores.h"

namespace attest {

enum class Variant {
#define ATTEST_VARIANT(name) name,
#include "cases/variants.def"
};

/// How MLA is computed: with keys and values expanded from the latent, a head each, or absorbed,
/// with queries taken to the latent, which then is both the key and the value of all heads.
enum class Form { expanded, absorbed };

std::string_view name(Variant);
std::string_view name(Form);
Variant parse_variant(std::string_view);
Form parse_form(std::string_view);

/// What is computed: one attention problem, a value.
///
/// Its canonical string is its name everywhere (filters, goldens, reports, the command line):
///
///     gqa B=2 Sq=64 Sk=320 H=8 G=2 D=128 dtype=bf16 mask=causal fill=peaked seed=7
///
/// `B Sq Sk H G D dtype` are always printed, the other keys only where they differ from their
/// default, in the order of the members below. A default never changes: ids and goldens hang on it.
///
/// MLA in expanded form is attention of G = H heads, D = Dn + Dr; in absorbed form of one key/value
/// head, D = Dv + Dr, whose key is the latent (Dv values) and the rotary key:
///
///     mla B=1 Sq=5 Sk=193 H=7 G=7 D=192 Dv=128 dtype=bf16 Dr=64 mask=causal
///     mla B=2 Sq=1 Sk=65 H=16 G=1 D=576 Dv=512 dtype=bf16 form=absorbed Dn=128 Dr=64
///
/// With level=layer the problem starts at hidden states x [B,Sq,E], appends Sq tokens to a cache of
/// Sk slots and ends with y [B,Sq,E] (cases/stages.h). H, G, D and Dv are then those of the model:
/// MLA has G = H and D = Dn + Dr in both forms, and the latent's width L beside them:
///
///     mla B=2 Sq=1 Sk=65 H=4 G=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 form=absorbed
///     Dr=8
struct Problem {
  Variant variant = Variant::mha;
  Index B = 1;    ///< batch
  Index Sq = 1;   ///< queries
  Index Sk = 1;   ///< keys, may be 0
  Index H = 1;    ///< query heads
  Index G = 1;    ///< key/value heads: H for mha, 1 for mqa, a divisor of H for gqa
  Index D = 64;   ///< width of q and k
  Index Dv = 64;  ///< width of v and o; default D
  Dtype dtype = Dtype::bf16;
  std::optional<Dtype> kv;  ///< e4m3 or e5m2: what k and v are kept in, with a scale for each head
  Layout layout = Layout::bshd;  ///< of q, k, v and o
  Level level = Level::core;
  Layer layer;                 ///< of level=layer
  Form form = Form::expanded;  ///< of mla
  Index Dn = 0;                ///< of mla: width without position; default D - Dr
  Index Dr = 0;                ///< of mla: rotary width
  Rope rope;                ///< of mla (its softmax scale knows the context stretch) and of layers
  std::vector<Index> lens;  ///< keys that each batch entry has, of Sk slots; empty: Sk
  Index page = 0;           ///< keys a page, where k and v lie in pages; 0: they do not
  Mask mask = Mask::none;
  Window window;
  double scale = 0;    ///< multiplies q k^T; 0: what follows from the widths and rope
  double softcap = 0;  ///< scores become softcap * tanh(score / softcap), before the mask; 0: no
  bool alibi = false;  ///< alibi_slopes[h] times the distance to a query is taken off its scores
  PerPair attn_bias = PerPair::none;  ///< attn_bias is added to scores; its -inf masks
  PerPair attn_mask = PerPair::none;  ///< keys where attn_mask is true are masked out
  Sink sink = Sink::none;
  Fill fill = Fill::normal;
  std::uint64_t seed = 0;

  bool operator==(const Problem&) const = default;

  /// Type of k and v, or of the caches.
  Dtype cache_dtype() const { return kv.value_or(dtype); }

  /// Keys of batch entry b: lens[b], or Sk.
  Index length(Index b) const { return lens.empty() ? Sk : lens[static_cast<std::size_t>(b)]; }

  /// The keys that query i of batch entry b sees, before attn_mask and attn_bias take some of them.
  /// Masks count from the end of the entry's own keys: bottom-right, query i sees keys
  /// j <= i + length(b) - Sq.
  KeyRange visible(Index b, Index i) const;

  /// The keys that any query of batch entry b sees.
  KeyRange visible(Index b) const;

  /// Shape of attn_bias or attn_mask: [1 or B, 1 or H, Sq, Sk].
  std::vector<Index> pair_shape(PerPair axes) const;

  /// Position of query i in its sequence, which ends with the queries: length(b) - Sq + i.
  Index position(Index b, Index i) const { return length(b) - Sq + i; }

  /// Pages of one batch entry, ceil(Sk / page), and of the whole pool: those of all batch entries
  /// and kSparePages that nobody uses. Both only where page > 0.
  Index table_width() const;
  Index pool_pages() const;
  static constexpr Index kSparePages = 2;

  /// Multiply-adds times two: 2 * B * H * (D + Dv) * (visible pairs of one head).
  double flops() const;
};

/// Throws attest::Error that names the first rule the problem breaks.
void validate(const Problem&);

/// The canonical string.
std::string print(const Problem&);

/// `193,65,0`: lengths as a case string has them.
std::string print_lens(const std::vector<Index>&);

/// Reads a case string: the variant first, then `key=value` in any order. G may be left out for
/// mha, mqa and mla, Dv, mask, fill and seed always, what only mla has where it has its default.
/// Throws attest::Error for an unknown, repeated or missing key, a malformed value, or a problem
/// that validate() refuses.
Problem parse_problem(std::string_view);

/// First 16 hex digits of SHA-256 over the canonical string.
std::string case_id(const Problem&);

}  // namespace attest
