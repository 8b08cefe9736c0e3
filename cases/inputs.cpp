#include "cases/inputs.h"

namespace attest {
namespace {

TensorSpec stored_as(TensorSpec bshd, const std::string& letters) {
  TensorSpec spec = bshd;
  spec.layout = letters;
  for (std::size_t axis = 0; axis < letters.size(); ++axis)
    spec.shape[axis] = bshd.shape[bshd.layout.find(letters[axis])];
  return spec;
}

std::vector<TensorSpec> dense_of_core(const Problem& p) {
  if (p.layout == Layout::qkv) return {{"qkv", "BSHD", {p.B, p.Sq, p.H + 2 * p.G, p.D}, p.dtype}};
  const TensorSpec q{"q", "BSHD", {p.B, p.Sq, p.H, p.D}, p.dtype};
  if (p.form == Form::absorbed)
    return {q, {"latent_cache", "BSC", {p.B, p.Sk, p.D}, p.cache_dtype()}};
  const std::string order = letters(p.layout);
  return {stored_as(q, order),
          stored_as({"k", "BSHD", {p.B, p.Sk, p.G, p.D}, p.cache_dtype()}, order),
          stored_as({"v", "BSHD", {p.B, p.Sk, p.G, p.Dv}, p.cache_dtype()}, order)};
}

/// The same with caches in pages, and their table.
std::vector<TensorSpec> paged_of_core(const Problem& p) {
  std::vector<TensorSpec> all = dense_of_core(p);
  for (TensorSpec& x : all) {
    if (x.name == "q") continue;
    if (x.name.size() == 1) x.name += "_cache";
    x.layout[0] = 'P';
    x.shape[0] = p.pool_pages();
    x.shape[1] = p.page;
  }
  all.push_back({"block_table", "BN", {p.B, p.table_width()}, Dtype::int32});
  return all;
}

void add_of_scores(const Problem& p, std::vector<TensorSpec>& all) {
  if (p.alibi) all.push_back({"alibi_slopes", "H", {p.H}, Dtype::fp32});
  if (p.attn_bias != PerPair::none)
    all.push_back({"attn_bias", "BHSK", p.pair_shape(p.attn_bias), p.dtype});
  if (p.attn_mask != PerPair::none)
    all.push_back({"attn_mask", "BHSK", p.pair_shape(p.attn_mask), Dtype::boolean});
  if (p.sink == Sink::learned) all.push_back({"sinks", "H", {p.H}, Dtype::fp32});
}

}  // namespace

std::vector<TensorSpec> inputs_of(const Problem& p) {
  std::vector<TensorSpec> all;
  if (p.level == Level::layer) {
    all = layer_weights(p);
    for (const TensorSpec& cache : layer_caches(p)) all.push_back(cache);
  } else {
    all = p.page > 0 ? paged_of_core(p) : dense_of_core(p);
  }
  if (!p.lens.empty()) all.push_back({"seqlens_k", "B", {p.B}, Dtype::int32});
  if (p.kv) {
    all.push_back({"k_scale", "G", {p.G}, Dtype::fp32});
    if (p.form == Form::expanded) all.push_back({"v_scale", "G", {p.G}, Dtype::fp32});
  }
  if (p.level == Level::core) add_of_scores(p, all);
  return all;
}

std::vector<TensorSpec> outputs_of(const Problem& p) {
  return {stored_as({"o", "BSHD", {p.B, p.Sq, p.H, p.Dv}, p.dtype}, letters(p.layout)),
          {"lse", "BHS", {p.B, p.H, p.Sq}, Dtype::fp32}};
}

}  // namespace attest
