#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cases/dtype.h"
#include "cases/fill.h"

namespace attest {

enum class Variant {
#define ATTEST_VARIANT(name) name,
#include "cases/variants.def"
};

/// Which keys a query sees. Bottom-right: query i sees keys j <= i + Sk - Sq; top-left: j <= i.
enum class Mask { none, causal, causal_top_left };

std::string_view name(Variant);
std::string_view name(Mask);
Variant parse_variant(std::string_view);
Mask parse_mask(std::string_view);

/// What is computed: one attention problem, a value.
///
/// Its canonical string is its name everywhere (filters, goldens, reports, the command line):
///
///     gqa B=2 Sq=64 Sk=320 H=8 G=2 D=128 dtype=bf16 mask=causal fill=peaked seed=7
///
/// `B Sq Sk H G D dtype` are always printed, the other keys only where they differ from their
/// default, in the order of the members below. A default never changes: ids and goldens hang on it.
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
  Mask mask = Mask::none;
  Fill fill = Fill::normal;
  std::uint64_t seed = 0;

  bool operator==(const Problem&) const = default;

  /// Multiplies q k^T: 1 / sqrt(D).
  double scale() const;

  /// Number of keys that query i sees; they are keys 0 .. n-1.
  Index visible_keys(Index i) const;

  /// Multiply-adds times two: 2 * B * H * (D + Dv) * (visible pairs of one head).
  double flops() const;
};

/// Throws attest::Error that names the first rule the problem breaks.
void validate(const Problem&);

/// The canonical string.
std::string print(const Problem&);

/// Reads a case string: the variant first, then `key=value` in any order. G may be left out for
/// mha and mqa, Dv, mask, fill and seed always. Throws attest::Error for an unknown, repeated or
/// missing key, a malformed value, or a problem that validate() refuses.
Problem parse_problem(std::string_view);

/// First 16 hex digits of SHA-256 over the canonical string.
std::string case_id(const Problem&);

}  // namespace attest
