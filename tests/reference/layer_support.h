#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "tests/reference/naive_stages.h"

// Inputs of layers, and what a kernel would have stored of a stage.
namespace attest::layers {

/// Layers whose dimensions all differ.
inline const char* const kLayers[] = {
    "gqa B=2 Sq=3 Sk=11 H=6 G=2 D=8 dtype=bf16 level=layer E=20 norm=rms_zero_centered bias=all "
    "gate=1 rope=default:dim:4,pairing:interleaved lens=11,7 page=4 mask=causal",
    "gqa B=3 Sq=2 Sk=13 H=8 G=4 D=6 dtype=bf16 level=layer E=20 rope=default:dim:4 lens=2,13,9 "
    "mask=causal",
    "gqa B=1 Sq=5 Sk=7 H=4 G=2 D=10 dtype=bf16 level=layer E=14 norm=rms gate=1 "
    "rope=default:pairing:deinterleave",
    "mha B=1 Sq=5 Sk=5 H=3 D=8 dtype=bf16 level=layer E=14 norm=layer bias=qkv eps=0.01 "
    "rope=yarn:theta:100,factor:8,orig:16,mscale_all_dim:0.5 mask=causal",
    "mqa B=2 Sq=4 Sk=9 H=5 D=12 dtype=bf16 level=layer E=16 norm=l2 bias=all page=2",
    "mla B=2 Sq=3 Sk=11 H=4 D=14 Dv=10 dtype=bf16 level=layer E=20 L=24 Lq=18 Dr=6 "
    "rope=yarn:theta:100,factor:8,orig:16,pairing:deinterleave,mscale_all_dim:0.707 lens=8,11 "
    "page=4 mask=causal",
    "mla B=2 Sq=3 Sk=11 H=4 D=14 Dv=10 dtype=bf16 level=layer E=20 L=24 form=absorbed Dr=6 "
    "rope=yarn:theta:100,factor:8,orig:16,pairing:interleaved,mscale_all_dim:1 lens=11,3 page=4 "
    "mask=causal",
    "mla B=1 Sq=7 Sk=7 H=3 D=13 Dv=5 dtype=bf16 level=layer E=15 L=12 Lq=9 form=absorbed Dr=4 "
    "mask=causal",
};

/// Stores a number in element n of an fp64 or bf16 tensor; bf16 cuts bits off.
inline void put(Tensor& to, Index n, double value) {
  const auto at = static_cast<std::size_t>(n);
  if (to.dtype() == Dtype::fp64)
    to.as<double>()[at] = value;
  else
    to.as<std::uint16_t>()[at] =
        std::uint16_t(std::bit_cast<std::uint32_t>(static_cast<float>(value)) >> 16);
}

/// Where row j of batch entry b lies in a cache, counted in rows.
inline Index row_at(const Problem& p, const TensorSet& inputs, Index b, Index j) {
  if (p.page == 0) return b * p.Sk + j;
  const auto table = inputs.at("block_table").as<std::int32_t>();
  return table[std::size_t(b * p.table_width() + j / p.page)] * p.page + j % p.page;
}

/// Puts rows [B,n,...] behind the first `first(b)` ones of each batch entry of a cache.
template <class First>
void put_rows(const Problem& p, const TensorSet& inputs, const Tensor& rows, First first,
              Tensor& cache) {
  const Index count = rows.shape()[1];
  const Index width = p.B * count > 0 ? rows.size() / (p.B * count) : 0;
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < count; ++i)
      for (Index d = 0; d < width; ++d)
        put(cache, row_at(p, inputs, b, first(b) + i) * width + d,
            rows.value((b * count + i) * width + d));
}

inline Tensor random_tensor(const TensorSpec& spec, std::mt19937& engine, double mean,
                            double spread) {
  std::normal_distribution<double> normal(mean, spread);
  Tensor tensor = make_tensor(spec);
  for (Index n = 0; n < tensor.size(); ++n) put(tensor, n, normal(engine));
  return tensor;
}

inline Tensor random_weight(const Problem& p, const TensorSpec& spec, std::mt19937& engine) {
  const bool of_norm = spec.name.starts_with("w_") && spec.name.ends_with("_norm");
  if (of_norm)
    return random_tensor(spec, engine, p.layer.norm == Norm::rms_zero_centered ? 0 : 1, 0.5);
  const bool matrix = spec.shape.size() == 2;
  const double spread = matrix ? 1 / std::sqrt(static_cast<double>(spec.shape[1])) : 1;
  return random_tensor(spec, engine, 0, spread);
}

/// Pages in a random order; entries behind those that hold tokens are no pages.
inline Tensor random_table(const Problem& p, const TensorSpec& spec, std::mt19937& engine) {
  std::vector<std::int32_t> pages(static_cast<std::size_t>(p.pool_pages()));
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), engine);
  Tensor table = make_tensor(spec);
  for (Index b = 0; b < p.B; ++b)
    for (Index n = 0; n < p.table_width(); ++n) {
      const auto at = static_cast<std::size_t>(b * p.table_width() + n);
      table.as<std::int32_t>()[at] =
          n * p.page < p.length(b) ? pages[at] : std::numeric_limits<std::int32_t>::max();
    }
  return table;
}

/// Random weights, hidden states and earlier tokens; NaN where a cache holds nothing.
inline TensorSet inputs(const Problem& p, unsigned seed = 1) {
  std::mt19937 engine(seed);
  TensorSet set;
  for (const TensorSpec& spec : layer_weights(p)) set.add(random_weight(p, spec, engine));
  const std::vector<TensorSpec> caches = layer_caches(p);
  if (p.page > 0) set.add(random_table(p, caches.back(), engine));
  for (const TensorSpec& spec : caches) {
    if (spec.name == "block_table") continue;
    Tensor& cache = set.add(make_tensor(spec));
    TensorSpec all = spec;
    all.shape.erase(all.shape.begin(), all.shape.begin() + 2);
    all.shape.insert(all.shape.begin(), {1, 1});
    for (Index b = 0; b < p.B; ++b)
      for (Index j = 0; j < cached_tokens(p, b); ++j) {
        const Tensor row = random_tensor(all, engine, 0, 1);
        for (Index d = 0; d < row.size(); ++d)
          put(cache, row_at(p, set, b, j) * row.size() + d, row.value(d));
      }
  }
  return set;
}

/// A copy with bytes of its own.
inline Tensor copy_of(const Tensor& x) {
  Tensor copy(x.name(), x.dtype(), x.layout(), x.shape());
  std::ranges::copy(x.bytes(), copy.bytes().begin());
  return copy;
}

/// What a kernel would store of an output: in the problem's type, new rows in their cache, rows
/// without a token not at all.
inline Tensor stored(const Problem& p, const TensorSet& inputs, const Tensor& output) {
  if (naive::is_cache(output.name())) {
    Tensor cache = copy_of(inputs.at(output.name()));
    put_rows(
        p, inputs, output, [&](Index b) { return cached_tokens(p, b); }, cache);
    return cache;
  }
  Tensor tensor(output.name(), p.dtype, output.layout(), output.shape());
  const bool of_keys = output.name() == "kv" || output.name() == "k" || output.name() == "v";
  const Index width = of_keys ? output.size() / (p.B * p.Sk) : output.size();
  for (Index n = 0; n < output.size(); ++n) {
    const bool token = !of_keys || n / width % p.Sk < p.length(n / width / p.Sk);
    if (token) put(tensor, n, output.value(n));
  }
  return tensor;
}

}  // namespace attest::layers
