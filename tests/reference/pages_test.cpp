#include "reference/pages.h"

#include <cstring>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using reference::Emit;

namespace {

const Problem kPaged =
    parse_problem("gqa B=2 Sq=3 Sk=7 H=4 G=2 D=8 Dv=5 dtype=fp64 page=3 mask=causal");

/// Page of each table entry: 2 batch entries of 3 pages, in no order; pages 1 and 6 are spare.
constexpr std::int32_t kTable[2][3] = {{7, 0, 4}, {2, 5, 3}};

/// A pool of NaN, and in it the rows of x [2, 7, heads, width].
Tensor paged(const char* name, const Tensor& x) {
  Tensor pool(name, Dtype::fp64, "PSHD", {8, 3, x.shape()[2], x.shape()[3]});
  const auto width = static_cast<std::size_t>(x.shape()[2] * x.shape()[3]);
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t j = 0; j < 7; ++j) {
      const auto row = static_cast<std::size_t>(kTable[b][j / 3]) * 3 + j % 3;
      std::memcpy(&pool.as<double>()[row * width], &x.as<double>()[(b * 7 + j) * width],
                  width * sizeof(double));
    }
  return pool;
}

TensorSet paged_inputs(const TensorSet& dense) {
  TensorSet inputs;
  inputs.add(dense.at("q"));
  inputs.add(paged("k_cache", dense.at("k")));
  inputs.add(paged("v_cache", dense.at("v")));
  Tensor table("block_table", Dtype::int32, "BN", {2, 3});
  std::memcpy(table.bytes().data(), kTable, sizeof kTable);
  inputs.add(table);
  return inputs;
}

Problem without_pages(Problem p) {
  p.page = 0;
  return p;
}

}  // namespace

TEST_CASE("a paged cache gives the bits of the dense one, whatever lies in unused slots") {
  const Problem dense_problem = without_pages(kPaged);
  const TensorSet dense = naive::random_inputs(dense_problem);
  const Truth want = reference::attend(dense_problem, dense, Emit::outputs);
  const Truth got = reference::attend(kPaged, paged_inputs(dense), Emit::outputs);
  for (const char* name : {"o", "lse"})
    CHECK(got.outputs.at(name).sha256() == want.outputs.at(name).sha256());
}

TEST_CASE("entries of the table for pages without keys are not looked up") {
  Problem dense_problem = without_pages(kPaged), problem = kPaged;
  problem.lens = dense_problem.lens = {4, 0};
  const TensorSet dense = naive::random_inputs(dense_problem);
  TensorSet inputs = paged_inputs(dense);
  const auto entries = inputs.at("block_table").as<std::int32_t>();
  for (const std::size_t unused : {2u, 3u, 4u, 5u}) entries[unused] = 0x7fffffff;
  const Truth want = reference::attend(dense_problem, dense, Emit::outputs);
  const Truth got = reference::attend(problem, inputs, Emit::outputs);
  for (const char* name : {"o", "lse"})
    CHECK(got.outputs.at(name).sha256() == want.outputs.at(name).sha256());
  entries[1] = 0x7fffffff;
  CHECK_THROWS_WITH(reference::attend(problem, inputs, Emit::outputs),
                    Catch::Contains("got 2147483647 at [0, 1]"));
}

TEST_CASE("a table that points outside the pool is refused with the place") {
  TensorSet inputs = paged_inputs(naive::random_inputs(without_pages(kPaged)));
  for (const std::int32_t page : {-1, 8}) {
    inputs.at("block_table").as<std::int32_t>()[4] = page;
    CHECK_THROWS_WITH(reference::attend(kPaged, inputs, Emit::outputs),
                      Catch::Contains(concat("pages in [0, 8), got ", page, " at [1, 1]")));
  }
}

TEST_CASE("a table or a pool of another shape is refused") {
  const TensorSet dense = naive::random_inputs(without_pages(kPaged));
  Problem other = kPaged;
  other.page = 4;
  CHECK_THROWS_WITH(reference::attend(other, paged_inputs(dense), Emit::outputs),
                    Catch::Contains("block_table must be int32 of shape 2x2"));
  other.page = 2;
  other.Sk = 6;
  CHECK_THROWS_WITH(reference::attend(other, paged_inputs(dense), Emit::outputs),
                    Catch::Contains("must have pages of 2 rows"));
}
