#include "cases/shard.h"

#include <cstring>
#include <string_view>

#include "cases/error.h"
#include "cases/stages.h"

namespace attest {
namespace {

/// Positions on an axis, in the order in which a rank holds them.
using Positions = std::vector<Index>;

void append(Positions& to, Index first, Index count) {
  for (Index n = 0; n < count; ++n) to.push_back(first + n);
}

/// These positions of one axis of x, everything of the others.
Tensor select(const Tensor& x, std::size_t axis, const Positions& positions) {
  std::vector<Index> shape = x.shape();
  ATTEST_CHECK(axis < shape.size(), "shard: ", x.name(), " must have more axes, got ",
               shape.size());
  const Index extent = shape[axis];
  for (const Index n : positions)
    ATTEST_CHECK(n < extent, "shard: ", x.name(), " does not fit the problem: a rank needs row ", n,
                 " of axis ", axis, ", got an extent of ", extent);
  shape[axis] = std::ssize(positions);
  Tensor part(x.name(), x.dtype(), x.layout(), shape);
  if (part.size() == 0) return part;
  std::size_t row = size_of(x.dtype());  // bytes of one position
  for (std::size_t n = axis + 1; n < shape.size(); ++n) row *= static_cast<std::size_t>(shape[n]);
  const std::size_t blocks = part.bytes().size() / row / positions.size();
  std::byte* to = part.bytes().data();
  for (std::size_t block = 0; block < blocks; ++block)
    for (const Index n : positions) {
      const auto from = block * static_cast<std::size_t>(extent) + static_cast<std::size_t>(n);
      std::memcpy(to, x.bytes().data() + from * row, row);
      to += row;
    }
  return part;
}

Tensor zeros(const Tensor& x) {
  Tensor result(x.name(), x.dtype(), x.layout(), x.shape());
  std::memset(result.bytes().data(), 0, result.bytes().size());
  return result;
}

/// The heads and groups of one rank.
struct Share {
  Index first_head, heads, first_group, groups;
};

Share share_of(const Problem& layer, Index rank) {
  const Problem shard = shard_of(layer, rank);
  const Index first_head = rank * shard.H;
  return {first_head, shard.H, first_head / (layer.H / layer.G), shard.G};
}

/// Rows of w_qkv: in each group R blocks of D rows for q, R for the gate if there is one, k, v.
Positions fused_rows(const Problem& layer, const Share& share) {
  const Index D = layer.D, R = layer.H / layer.G;
  const Index kinds = layer.layer.gate ? 2 : 1;    // of blocks a query head has
  const Index heads = share.heads / share.groups;  // of the rank in each of its groups
  const Index first = share.first_head % R;        // the first of them in its group
  Positions rows;
  for (Index g = share.first_group; g < share.first_group + share.groups; ++g) {
    const Index base = g * (kinds * R + 2) * D;
    for (Index kind = 0; kind < kinds; ++kind)
      append(rows, base + (kind * R + first) * D, heads * D);
    append(rows, base + kinds * R * D, 2 * D);
  }
  return rows;
}

Positions of_heads(const Share& share, Index width) {
  Positions rows;
  append(rows, share.first_head * width, share.heads * width);
  return rows;
}

Positions of_groups(const Share& share) {
  Positions rows;
  append(rows, share.first_group, share.groups);
  return rows;
}

}  // namespace

TensorSet shard_inputs(const Problem& layer, Index rank, const TensorSet& inputs) {
  const Share share = share_of(layer, rank);
  TensorSet shard;
  for (const Tensor& x : inputs) {
    const std::string_view name = x.name();
    if (name == "w_qkv" || name == "b_qkv")
      shard.add(select(x, 0, fused_rows(layer, share)));
    else if (name == "w_q" || name == "w_uq")
      shard.add(select(x, 0, of_heads(share, layer.D)));
    else if (name == "w_ukv")
      shard.add(select(x, 0, of_heads(share, layer.Dn + layer.Dv)));
    else if (name == "w_o")
      shard.add(select(x, 1, of_heads(share, layer.Dv)));
    else if (name == "sinks")
      shard.add(select(x, 0, of_heads(share, 1)));
    else if (name == "k_cache" || name == "v_cache")
      shard.add(select(x, 2, of_groups(share)));
    else if (name == "b_o" && rank > 0)
      shard.add(zeros(x));
    else
      shard.add(x);
  }
  return shard;
}

}  // namespace attest
