#include "cases/shard.h"

#include <cstdint>

#include "cases/error.h"
#include "cases/stages.h"
#include "tests/catch.h"

using namespace attest;

namespace {

/// Inputs of a layer whose every element is its position on one axis: that of heads or groups.
TensorSet numbered(const Problem& p) {
  TensorSet set;
  const auto add = [&](const TensorSpec& spec) {
    Tensor& x = set.add(make_tensor(spec));
    const bool columns = spec.name == "w_o", groups = spec.name.ends_with("_cache");
    const std::size_t axis = columns ? 1 : groups ? 2 : 0;
    Index inner = 1;
    for (std::size_t n = axis + 1; n < spec.shape.size(); ++n) inner *= spec.shape[n];
    for (Index n = 0; n < x.size() && p.dtype == spec.dtype; ++n)
      x.as<double>()[std::size_t(n)] = double(n / inner % spec.shape[axis]);
  };
  for (const TensorSpec& spec : layer_weights(p)) add(spec);
  for (const TensorSpec& spec : layer_caches(p)) add(spec);
  return set;
}

/// The positions of a tensor's elements on its first axis (or, of w_o, in its first row).
std::vector<Index> positions(const Tensor& x) {
  std::vector<Index> all;
  const bool columns = x.name() == "w_o";
  const Index count = x.shape()[columns ? 1 : 0], stride = columns ? 1 : x.size() / count;
  for (Index n = 0; n < count; ++n) all.push_back(Index(x.value(n * stride)));
  return all;
}

std::vector<Index> range(Index first, Index last) {
  std::vector<Index> all;
  for (Index n = first; n <= last; ++n) all.push_back(n);
  return all;
}

}  // namespace

// R = 4 query heads a group, D = 2: group 1 begins in row 20 with q4 q5 q6 q7, gates from 28, k 36,
// v 38. Of tp = 4 ranks, the last has heads 6 and 7 and shares group 1 with the one before it.
TEST_CASE("a rank of more than there are groups has a part of one group's query heads") {
  const Problem p = parse_problem(
      "gqa B=1 Sq=1 Sk=3 H=8 G=2 D=2 dtype=fp64 level=layer E=5 tp=4 norm=rms bias=all gate=1");
  const TensorSet inputs = numbered(p), shard = shard_inputs(p, 3, inputs);
  const std::vector<Index> rows = {24, 25, 26, 27, 32, 33, 34, 35, 36, 37, 38, 39};
  CHECK(positions(shard.at("w_qkv")) == rows);
  CHECK(positions(shard.at("b_qkv")) == rows);
  CHECK(positions(shard.at("w_o")) == range(12, 15));
  for (const char* cache : {"k_cache", "v_cache"}) {
    CHECK(shard.at(cache).shape() == std::vector<Index>{1, 3, 1, 2});
    for (Index n = 0; n < 6; ++n) CHECK(shard.at(cache).value(n) == 1);
  }
  for (Index n = 0; n < 5; ++n) CHECK(shard.at("b_o").value(n) == 0);
  CHECK(positions(shard_inputs(p, 0, inputs).at("b_o")) == range(0, 4));
  for (const char* whole : {"x", "w_q_norm", "w_k_norm"})
    CHECK(positions(shard.at(whole)) == positions(inputs.at(whole)));
  CHECK(shard.size() == inputs.size());
}

// R = 2, D = 1, no gate: groups of four rows q q k v.
TEST_CASE("a rank of fewer than there are groups has whole groups") {
  const Problem p =
      parse_problem("gqa B=1 Sq=1 Sk=3 H=8 G=4 D=1 dtype=fp64 level=layer E=5 tp=2 page=2");
  const TensorSet shard = shard_inputs(p, 1, numbered(p));
  CHECK(positions(shard.at("w_qkv")) == range(8, 15));
  CHECK(positions(shard.at("w_o")) == range(4, 7));
  CHECK(shard.at("k_cache").shape() == std::vector<Index>{p.pool_pages(), 2, 2, 1});
  CHECK(shard.at("k_cache").value(0) == 2);
  CHECK(shard.at("k_cache").value(1) == 3);
}

TEST_CASE("a rank of mla has the rows of its heads and the whole latent") {
  const Problem p =
      parse_problem("mla B=1 Sq=1 Sk=3 H=4 D=5 Dv=2 dtype=fp64 level=layer E=6 L=4 Lq=7 tp=2 Dr=2");
  const TensorSet inputs = numbered(p), shard = shard_inputs(p, 1, inputs);
  CHECK(positions(shard.at("w_uq")) == range(10, 19));
  CHECK(positions(shard.at("w_ukv")) == range(10, 19));  // 3 of k and 2 of v a head
  CHECK(positions(shard.at("w_o")) == range(4, 7));
  for (const char* whole : {"w_dq", "w_dkv", "w_q_norm", "w_kv_norm", "latent_cache"}) {
    CHECK(shard.at(whole).shape() == inputs.at(whole).shape());
    CHECK(shard.at(whole).sha256() == inputs.at(whole).sha256());
  }
}

TEST_CASE("a tensor that does not fit the layer is refused by name") {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=3 H=4 D=2 dtype=fp64 level=layer E=5 tp=2");
  TensorSet inputs;
  inputs.add(Tensor("w_o", Dtype::fp64, "NK", {5, 7}));
  CHECK_THROWS_WITH(shard_inputs(p, 1, inputs),
                    Catch::Contains("shard: w_o does not fit the problem"));
  CHECK_THROWS_WITH(shard_inputs(p, 2, inputs),
                    Catch::Contains("shard: rank must lie in [0, tp), got 2"));
}
