#include "harness/inputs.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "cases/inputs.h"
#include "harness/cache_scales.h"
#include "harness/fills.h"
#include "harness/layer_inputs.h"
#include "harness/rounding.h"
#include "harness/score_inputs.h"

namespace attest {
namespace {

constexpr Index kParallelSize = 1 << 14;  // elements that are worth waking threads for

/// Entry of the block table for a page without keys: outside every pool.
constexpr std::int32_t kNoPage = std::numeric_limits<std::int32_t>::max();

/// Fills a tensor [B, S, heads, width], or [B, S, width] of one head, row by row; threads share the
/// rows, never a row. scales: of its heads, by which the values are divided; empty: none.
void draw(Tensor& tensor, const Problem& problem, const Streams& streams, const Stream& own,
          RowRecipe recipe, std::span<const float> scales = {}) {
  const bool one_head = tensor.shape().size() == 3;
  const Index S = tensor.shape()[1], heads = one_head ? 1 : tensor.shape()[2];
  const Index width = tensor.shape().back();
  const Index rows = tensor.shape()[0] * S * heads;
  const Index row_bytes = width * static_cast<Index>(size_of(tensor.dtype()));
  std::byte* const data = tensor.bytes().data();
#pragma omp parallel if (tensor.size() >= kParallelSize)
  {
    std::vector<double> values(static_cast<std::size_t>(width));
#pragma omp for schedule(static)
    for (Index n = 0; n < rows; ++n) {
      recipe({problem, streams, own, n / heads / S, n / heads % S, n % heads}, values);
      if (!scales.empty())
        for (double& value : values) value /= scales[static_cast<std::size_t>(n % heads)];
      encode(tensor.dtype(), values, data + n * row_bytes);
    }
  }
}

}  // namespace

namespace {

/// Numbers 0 .. count-1 in the order of their draws. [count]
std::vector<std::int32_t> shuffled(std::uint64_t seed, Index count) {
  const Stream stream(seed, "block_table");
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const auto draw = [&](std::int32_t n) { return stream.at(0, 0, 0, n).word[0]; };
  std::ranges::stable_sort(order, {}, draw);
  return order;
}

/// Moves the rows of x [B, Sk, ...] to their pages. table: [B, table_width]
Tensor in_pages(const Problem& p, const Tensor& x, const std::string& name,
                std::span<const std::int32_t> table) {
  std::vector<Index> shape = x.shape();
  shape[0] = p.pool_pages();
  shape[1] = p.page;
  std::string layout = x.layout();
  layout[0] = 'P';
  Tensor pool(name, x.dtype(), layout, shape);  // NaN, all bits set
  const auto row = x.bytes().size() / static_cast<std::size_t>(std::max<Index>(1, p.B * p.Sk));
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < p.length(b); ++j) {
      const Index page = table[static_cast<std::size_t>(b * p.table_width() + j / p.page)];
      std::memcpy(pool.bytes().data() + static_cast<std::size_t>(page * p.page + j % p.page) * row,
                  x.bytes().data() + static_cast<std::size_t>(b * p.Sk + j) * row, row);
    }
  return pool;
}

TensorSet in_pages(const Problem& p, const TensorSet& dense) {
  const std::vector<std::int32_t> order = shuffled(p.seed, p.pool_pages());
  Tensor table("block_table", Dtype::int32, "BN", {p.B, p.table_width()});
  const std::span<std::int32_t> entries = table.as<std::int32_t>();
  std::copy_n(order.begin(), entries.size(), entries.begin());
  TensorSet paged;
  for (const Tensor& x : dense) {
    const bool cached = x.name() != "q";
    const std::string name = x.name().size() == 1 ? x.name() + "_cache" : x.name();
    paged.add(cached ? in_pages(p, x, name, entries) : x);
  }
  for (Index b = 0; b < p.B; ++b)  // pages without keys
    std::fill(entries.begin() + b * p.table_width() + (p.length(b) + p.page - 1) / p.page,
              entries.begin() + (b + 1) * p.table_width(), kNoPage);
  paged.add(table);
  return paged;
}

/// Rows of x [B, Sk, ...] from length(b) on are NaN, all bits set.
void blank_unused(const Problem& p, Tensor& x) {
  const Index lines = std::max<Index>(1, p.B * p.Sk);
  const Index row = static_cast<Index>(x.bytes().size()) / lines;
  for (Index b = 0; b < p.B; ++b)
    std::fill(x.bytes().begin() + (b * p.Sk + p.length(b)) * row,
              x.bytes().begin() + (b + 1) * p.Sk * row, std::byte{0xff});
}

Tensor lengths(const Problem& p) {
  Tensor lens("seqlens_k", Dtype::int32, "B", {p.B});
  std::ranges::transform(p.lens, lens.as<std::int32_t>().begin(),
                         [](Index n) { return static_cast<std::int32_t>(n); });
  return lens;
}

TensorSet make_dense(const Problem& p, const CacheScales& scales) {
  const Streams streams(p.seed);
  const Recipe& fill = recipe(p.fill);
  TensorSet inputs;
  draw(inputs.add(Tensor("q", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.D})), p, streams, streams.q,
       fill.q);
  if (p.form == Form::absorbed) {
    Tensor& latent = inputs.add(Tensor("latent_cache", p.cache_dtype(), "BSC", {p.B, p.Sk, p.D}));
    draw(latent, p, streams, streams.k, fill.k, scales.k);
    blank_unused(p, latent);
    return inputs;
  }
  Tensor& k = inputs.add(Tensor("k", p.cache_dtype(), "BSHD", {p.B, p.Sk, p.G, p.D}));
  draw(k, p, streams, streams.k, fill.k, scales.k);
  blank_unused(p, k);
  Tensor& v = inputs.add(Tensor("v", p.cache_dtype(), "BSHD", {p.B, p.Sk, p.G, p.Dv}));
  draw(v, p, streams, streams.v, fill.v, scales.v);
  blank_unused(p, v);
  return inputs;
}

}  // namespace

std::vector<std::string> input_names(const Problem& p) {
  std::vector<std::string> names;
  for (const TensorSpec& spec : inputs_of(p)) names.push_back(spec.name);
  return names;
}

namespace {

/// qkv [B,S,H+2G,D] of q, k and v.
Tensor packed(const Problem& p, const TensorSet& dense) {
  Tensor qkv("qkv", p.dtype, "BSHD", {p.B, p.Sq, p.H + 2 * p.G, p.D});
  std::byte* to = qkv.bytes().data();
  for (Index token = 0; token < p.B * p.Sq; ++token)
    for (const Tensor& x : dense) {
      const std::size_t bytes = x.bytes().size() / static_cast<std::size_t>(p.B * p.Sq);
      std::memcpy(to, x.bytes().data() + static_cast<std::size_t>(token) * bytes, bytes);
      to += bytes;
    }
  return qkv;
}

/// q, k and v in the problem's layout.
TensorSet in_layout(const Problem& p, const TensorSet& dense) {
  if (p.layout == Layout::bshd) return dense;
  TensorSet result;
  if (p.layout == Layout::qkv)
    result.add(packed(p, dense));
  else
    for (const Tensor& x : dense) result.add(stored_as(x, letters(p.layout)));
  return result;
}

}  // namespace

TensorSet place(const Problem& p, const TensorSet& dense) {
  TensorSet placed = p.page > 0 ? in_pages(p, dense) : in_layout(p, dense);
  if (!p.lens.empty()) placed.add(lengths(p));
  return placed;
}

TensorSet make_inputs(const Problem& p) {
  validate(p);
  if (p.level == Level::layer) return make_layer_inputs(p);
  const CacheScales scales = cache_scales(p);
  TensorSet inputs = place(p, make_dense(p, scales));
  add_cache_scales(p, scales, inputs);
  add_score_inputs(p, inputs);
  return inputs;
}

}  // namespace attest
