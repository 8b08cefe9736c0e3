#include "cases/problem.h"

#include <algorithm>
#include <array>

#include "cases/case.h"
#include "cases/enum_names.h"
#include "cases/error.h"
#include "cases/number.h"
#include "cases/sha256.h"

namespace attest {
namespace {

constexpr std::array<std::string_view, 2> kForms = {"expanded", "absorbed"};

constexpr std::string_view kVariants[] = {
#define ATTEST_VARIANT(name) #name,
#include "cases/variants.def"
};

constexpr Index kMaxDim = Index{1} << 24;
constexpr double kMaxFactor = 1e4;  // of scores
constexpr Index kMaxElements = Index{1} << 31;

void check_dim(std::string_view key, Index value, Index low) {
  ATTEST_CHECK(value >= low && value <= kMaxDim, "problem: ", key, " must lie in [", low, ", ",
               kMaxDim, "], got ", key, "=", value);
}

void check_lens(const Problem& p) {
  if (p.lens.empty()) return;
  ATTEST_CHECK(std::ssize(p.lens) == p.B,
               "problem: lens must give each of the B batch entries its "
               "keys, got ",
               p.lens.size(), " lengths for B=", p.B);
  for (std::size_t b = 0; b < p.lens.size(); ++b)
    ATTEST_CHECK(p.lens[b] >= 0 && p.lens[b] <= p.Sk,
                 "problem: lens must lie within the cache, in [0, Sk], got ", p.lens[b],
                 " for batch entry ", b, " with Sk=", p.Sk);
  ATTEST_CHECK(std::any_of(p.lens.begin(), p.lens.end(), [&](Index n) { return n != p.Sk; }),
               "problem: lens must not all be Sk, for without lens they are; got Sk=", p.Sk);
}

void check_layout(const Problem& p) {
  if (p.layout == Layout::bshd) return;
  ATTEST_CHECK(p.level == Level::core && p.form == Form::expanded && p.page == 0,
               "problem: layout ", name(p.layout),
               " is of dense q, k and v, got a layer, a latent cache or pages");
  ATTEST_CHECK(
      p.layout != Layout::qkv || (p.Sq == p.Sk && p.D == p.Dv && p.lens.empty() && !p.kv),
      "problem: layout qkv has one row for q, k and v: Sq = Sk, D = Dv, no lens, no kv; got Sq=",
      p.Sq, " Sk=", p.Sk, " D=", p.D, " Dv=", p.Dv,
      p.lens.empty() ? "" : concat(" lens=", print_lens(p.lens)),
      p.kv ? concat(" kv=", name(*p.kv)) : "");
}

/// Inputs of scores that level=layer has not.
std::string score_inputs(const Problem& p) {
  std::string names;
  if (p.alibi) names += " alibi";
  if (p.attn_bias != PerPair::none) names += " attn_bias";
  if (p.attn_mask != PerPair::none) names += " attn_mask";
  return names;
}

void check_scores(const Problem& p) {
  for (const auto& [key, value] : {std::pair{"scale", p.scale}, {"softcap", p.softcap}})
    ATTEST_CHECK(value >= 0 && value <= kMaxFactor, "problem: ", key, " must lie in [0, ",
                 kMaxFactor, "], got ", key, "=", shortest(value));
  ATTEST_CHECK(p.mask == Mask::none || p.window.right < 0, "problem: mask ", name(p.mask),
               " bounds the keys on the right, so that window must be left,-1, got window=",
               print(p.window));
  ATTEST_CHECK(!p.alibi || p.attn_bias == PerPair::none,
               "problem: scores have one bias, alibi or attn_bias, got both");
  const std::string inputs = score_inputs(p);
  ATTEST_CHECK(p.level == Level::core || inputs.empty(),
               "problem: a layer has no biases or masks of each pair, got", inputs);
  const bool plain = p.softcap == 0 && p.sink == Sink::none && inputs.empty();
  ATTEST_CHECK(info(p.fill).tag != FillTag::exact || plain, "problem: fill ", name(p.fill),
               " gives an exact answer of plain scores only, got", p.softcap > 0 ? " softcap" : "",
               inputs, p.sink == Sink::none ? "" : " sink");
}

void check_dtypes(const Problem& p) {
  const auto bytes = [](Dtype dtype) { return is_float(dtype) ? size_of(dtype) : 0; };
  ATTEST_CHECK(bytes(p.dtype) >= 2,
               "problem: dtype must be a floating-point type of at least 16 bits, got ",
               name(p.dtype), bytes(p.dtype) == 1 ? "; kv keeps keys and values in 8 bits" : "");
  if (!p.kv) return;
  ATTEST_CHECK(bytes(*p.kv) == 1 && bytes(p.dtype) == 2 && p.level == Level::core,
               "problem: kv must be e4m3 or e5m2, of 16-bit queries and level=core, got kv=",
               name(*p.kv), " with dtype=", name(p.dtype), " level=", name(p.level));
}

void check_elements(std::string_view tensor, const std::vector<Index>& shape) {
  double elements = 1;
  for (Index extent : shape) elements *= static_cast<double>(extent);
  ATTEST_CHECK(elements <= static_cast<double>(kMaxElements), "problem: ", tensor,
               " must have at most 2^31 elements, got ", shape[0], "x", shape[1], "x", shape[2],
               "x", shape[3], "; choose a smaller problem");
}

void check_mla(const Problem& p) {
  const bool layer = p.level == Level::layer;
  if (p.variant != Variant::mla) {
    const Problem defaults;
    ATTEST_CHECK(p.form == defaults.form && p.Dn == 0 && p.Dr == 0,
                 "problem: form, Dn and Dr belong to mla, got them in ", name(p.variant));
    ATTEST_CHECK(layer || p.rope == defaults.rope,
                 "problem: rope belongs to mla and to level=layer, got it in ", name(p.variant),
                 "; core attention of other variants takes q and k as they are");
    return;
  }
  const bool absorbed = p.form == Form::absorbed && !layer;
  check_dim("Dn", p.Dn, 1);
  check_dim("Dr", p.Dr, 1);
  ATTEST_CHECK(p.G == (absorbed ? 1 : p.H), "problem: mla ", name(p.form),
               " needs G = ", absorbed ? "1" : "H", ", got H=", p.H, " G=", p.G);
  ATTEST_CHECK(absorbed || p.D == p.Dn + p.Dr, "problem: mla ", layer ? "layer" : "expanded",
               " needs D = Dn + Dr, got D=", p.D, " Dn=", p.Dn, " Dr=", p.Dr);
  ATTEST_CHECK(!absorbed || p.D == p.Dv + p.Dr,
               "problem: mla absorbed needs D = Dv + Dr, got D=", p.D, " Dv=", p.Dv, " Dr=", p.Dr);
  ATTEST_CHECK(!absorbed || info(p.fill).of_latent,
               "problem: mla absorbed has no values beside its keys, so that a fill must not need "
               "them, got fill=",
               name(p.fill));
  ATTEST_CHECK(p.Dr % 2 == 0,
               "problem: Dr must be even, for its values turn in pairs, got Dr=", p.Dr);
  check(p.rope, p.Dr);
}

}  // namespace

std::string_view name(Variant variant) { return kVariants[static_cast<std::size_t>(variant)]; }
std::string_view name(Form form) { return kForms[static_cast<std::size_t>(form)]; }

Variant parse_variant(std::string_view text) {
  return parse_enum<Variant>("variant", kVariants, text);
}

Form parse_form(std::string_view text) { return parse_enum<Form>("form", kForms, text); }

KeyRange Problem::visible(Index b, Index i) const {
  const Index keys = length(b), at = mask == Mask::causal_top_left ? i : i + keys - Sq;
  Index begin = 0, end = keys;
  if (window.left >= 0) begin = at - window.left;
  if (window.right >= 0) end = at + window.right + 1;
  if (mask != Mask::none) end = at + 1;
  end = std::clamp<Index>(end, 0, keys);
  return {std::clamp<Index>(begin, 0, end), end};
}

KeyRange Problem::visible(Index b) const {
  return {visible(b, 0).begin, visible(b, Sq - 1).end};  // neither falls with i
}

std::vector<Index> Problem::pair_shape(PerPair axes) const {
  const bool of_batch = axes == PerPair::batch || axes == PerPair::full;
  const bool of_head = axes == PerPair::head || axes == PerPair::full;
  return {of_batch ? B : 1, of_head ? H : 1, Sq, Sk};
}

Index Problem::table_width() const { return (Sk + page - 1) / page; }

Index Problem::pool_pages() const { return B * table_width() + kSparePages; }

std::string print_lens(const std::vector<Index>& lens) {
  std::string text;
  for (Index length : lens) text += concat(text.empty() ? "" : ",", length);
  return text;
}

double Problem::flops() const {
  double pairs = 0;
  for (Index b = 0; b < B; ++b)
    for (Index i = 0; i < Sq; ++i) pairs += static_cast<double>(visible(b, i).size());
  return 2.0 * static_cast<double>(H * (D + Dv)) * pairs;
}

void validate(const Problem& p) {
  check_dim("B", p.B, 1);
  check_dim("Sq", p.Sq, 1);
  check_dim("Sk", p.Sk, 0);
  check_dim("H", p.H, 1);
  check_dim("G", p.G, 1);
  check_dim("D", p.D, 1);
  check_dim("Dv", p.Dv, 1);
  ATTEST_CHECK(p.H % p.G == 0, "problem: H must be a multiple of G, got H=", p.H, " G=", p.G);
  ATTEST_CHECK(p.variant != Variant::mha || p.G == p.H, "problem: mha needs G = H, got H=", p.H,
               " G=", p.G, "; use gqa for shared key/value heads");
  ATTEST_CHECK(p.variant != Variant::mqa || p.G == 1, "problem: mqa needs G = 1, got G=", p.G,
               "; use gqa for several key/value heads");
  check_dtypes(p);
  check_scores(p);
  check_layout(p);
  check_lens(p);
  check_mla(p);
  check_dim("page", p.page, 0);
  check_layer(p);
  if (p.level == Level::layer) return;  // whose tensors check_layer() knows
  check_elements("q", {p.B, p.Sq, p.H, p.D});
  check_elements("k", {p.B, p.Sk, p.G, p.D});
  check_elements("v", {p.B, p.Sk, p.G, p.Dv});
  if (p.page > 0) {
    check_elements("k_cache", {p.pool_pages(), p.page, p.G, p.D});
    check_elements("v_cache", {p.pool_pages(), p.page, p.G, p.Dv});
  }
  check_elements("o", {p.B, p.Sq, p.H, p.Dv});
  for (const auto& [name, axes] : {std::pair{"attn_bias", p.attn_bias}, {"attn_mask", p.attn_mask}})
    if (axes != PerPair::none) check_elements(name, p.pair_shape(axes));
}

std::string print(const Problem& p) {
  const Problem defaults;
  std::string text = concat(name(p.variant), " B=", p.B, " Sq=", p.Sq, " Sk=", p.Sk, " H=", p.H,
                            " G=", p.G, " D=", p.D);
  if (p.Dv != p.D) text += concat(" Dv=", p.Dv);
  text += concat(" dtype=", name(p.dtype));
  if (p.kv) text += concat(" kv=", name(*p.kv));
  if (p.layout != defaults.layout) text += concat(" layout=", name(p.layout));
  if (p.level != defaults.level) text += concat(" level=", name(p.level), print(p.layer));
  if (p.form != defaults.form) text += concat(" form=", name(p.form));
  if (p.form == Form::absorbed && p.level == Level::core) text += concat(" Dn=", p.Dn);
  if (p.Dr != defaults.Dr) text += concat(" Dr=", p.Dr);
  if (p.rope != defaults.rope) text += concat(" rope=", print(p.rope));
  if (!p.lens.empty()) text += concat(" lens=", print_lens(p.lens));
  if (p.page != defaults.page) text += concat(" page=", p.page);
  if (p.mask != defaults.mask) text += concat(" mask=", name(p.mask));
  if (p.window != defaults.window) text += concat(" window=", print(p.window));
  if (p.scale != defaults.scale) text += concat(" scale=", shortest(p.scale));
  if (p.softcap != defaults.softcap) text += concat(" softcap=", shortest(p.softcap));
  if (p.alibi) text += " alibi=1";
  if (p.attn_bias != defaults.attn_bias) text += concat(" attn_bias=", name(p.attn_bias));
  if (p.attn_mask != defaults.attn_mask) text += concat(" attn_mask=", name(p.attn_mask));
  if (p.sink != defaults.sink) text += concat(" sink=", name(p.sink));
  if (p.fill != defaults.fill) text += concat(" fill=", name(p.fill));
  if (p.seed != defaults.seed) text += concat(" seed=", p.seed);
  return text;
}

Problem parse_problem(std::string_view text) {
  const Case parsed = parse_case(text);
  ATTEST_CHECK(parsed.run == RunConfig{},
               "problem: must not say how it is run, got ' | ' in: ", text);
  return parsed.problem;
}

std::string case_id(const Problem& problem) { return sha256(print(problem)).substr(0, 16); }

}  // namespace attest
