#include "harness/score_inputs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "harness/philox.h"
#include "harness/rounding.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Index kTile = 64;  // keys that kernels take per step

Tensor alibi_slopes(const Problem& p) {
  Tensor slopes("alibi_slopes", Dtype::fp32, "H", {p.H});
  for (Index h = 0; h < p.H; ++h)
    slopes.as<float>()[static_cast<std::size_t>(h)] =
        static_cast<float>(std::exp2(-8 * static_cast<double>(h + 1) / static_cast<double>(p.H)));
  return slopes;
}

}  // namespace

Tensor draw_sinks(const Problem& p) {
  const Stream stream(p.seed, "sinks");
  Tensor all("sinks", Dtype::fp32, "H", {p.H});
  for (Index h = 0; h < p.H; ++h)
    all.as<float>()[static_cast<std::size_t>(h)] =
        static_cast<float>(2 * stream.at(0, 0, 0, h).normal());
  return all;
}

namespace {

/// Keys that batch entry b of x [1 or B, ...] has at most.
Index keys_of(const Problem& p, const Tensor& x, Index b) {
  if (x.shape()[0] > 1 || p.B == 1) return p.length(b);
  Index most = 0;
  for (Index n = 0; n < p.B; ++n) most = std::max(most, p.length(n));
  return most;
}

/// Query 0 keeps its first key and its last: a problem with one query has something to judge.
bool stays(Index i, Index j, Index keys) { return i == 0 && (j == 0 || j == keys - 1); }

/// Fills rows of x [1 or B, 1 or H, Sq, Sk] with value(b, h, i, j), and with `behind` where no
/// batch entry has a key.
template <class Value>
void fill(const Problem& p, Tensor& x, double behind, const Value& value) {
  std::vector<double> row(static_cast<std::size_t>(p.Sk));
  const auto row_bytes = static_cast<Index>(size_of(x.dtype())) * p.Sk;
  const Index heads = x.shape()[1], rows = x.shape()[0] * heads * p.Sq;
  for (Index n = 0; n < rows; ++n) {
    const Index b = n / p.Sq / heads, h = n / p.Sq % heads, i = n % p.Sq;
    const Index keys = keys_of(p, x, b);
    for (Index j = 0; j < p.Sk; ++j)
      row[static_cast<std::size_t>(j)] = j < keys ? value(b, h, i, j) : behind;
    std::byte* const first = x.bytes().data() + n * row_bytes;
    if (x.dtype() == Dtype::boolean)
      std::ranges::transform(row, first, [](double y) { return std::byte{y != 0}; });
    else
      encode(x.dtype(), row, first);
  }
}

Tensor attn_bias(const Problem& p) {
  const Stream stream(p.seed, "attn_bias");
  Tensor bias("attn_bias", p.dtype, "BHSK", p.pair_shape(p.attn_bias));
  fill(p, bias, std::numeric_limits<double>::quiet_NaN(), [&](Index b, Index h, Index i, Index j) {
    const Draw draw = stream.at(b, i, h, j);
    const bool masks = draw.word[3] % 16 == 0 && !stays(i, j, keys_of(p, bias, b));
    return masks ? -kInfinity : draw.normal();
  });
  return bias;
}

Tensor attn_mask(const Problem& p) {
  const Stream stream(p.seed, "attn_mask");
  Tensor mask("attn_mask", Dtype::boolean, "BHSK", p.pair_shape(p.attn_mask));
  fill(p, mask, 0, [&](Index b, Index h, Index i, Index j) {
    const std::uint64_t row = stream.at(b, i, h, 0).word[3],
                        tile = stream.at(b, i, h, j / kTile).word[2];
    if (stays(i, j, keys_of(p, mask, b))) return 0.0;
    if ((row % 8 == 0 && i > 0) || tile % 4 == 0) return 1.0;
    return stream.at(b, i, h, j).word[0] % 4 == 0 ? 1.0 : 0.0;
  });
  return mask;
}

}  // namespace

void add_score_inputs(const Problem& p, TensorSet& inputs) {
  if (p.alibi) inputs.add(alibi_slopes(p));
  if (p.attn_bias != PerPair::none) inputs.add(attn_bias(p));
  if (p.attn_mask != PerPair::none) inputs.add(attn_mask(p));
  if (p.sink == Sink::learned) inputs.add(draw_sinks(p));
}

}  // namespace attest
