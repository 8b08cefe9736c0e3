#include "harness/selection.h"

#include <set>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {
const char* const kPrefill = "mha B=1 Sq=200 Sk=9 H=2 G=2 D=64 dtype=bf16";
}

TEST_CASE("three shards hold every case once") {
  Selection all{.sources = {std::string(ATTEST_SOURCE_DIR) + "/ci/smoke.list"}};
  const auto whole = select(all);
  std::set<std::string> joined;
  std::size_t count = 0;
  for (const char* shard : {"1/3", "2/3", "3/3"}) {
    all.shard = shard;
    const auto part = select(all);
    count += part.size();
    for (const Case& c : part) joined.insert(print(c));
    CHECK(part.size() < whole.size());
  }
  CHECK(count == whole.size());
  CHECK(joined.size() == whole.size());
}

TEST_CASE("every case of a problem is in one shard, whatever else is in the list") {
  const auto problem = parse_case(kPrefill);
  const std::string shard = shard_like("1/7", problem.problem);
  CHECK(shard.ends_with("/7"));
  for (const char* run : {"", " | kernel=prefill", " | kernel=prefill schedule=5"}) {
    const auto c = parse_case(std::string(kPrefill) + run);
    CHECK(pick_shard({c, parse_case("mqa B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16")}, shard).front() == c);
    for (int i = 1; i <= 7; ++i) {
      const std::string other = std::to_string(i) + "/7";
      CHECK(pick_shard({c}, other).size() == (other == shard ? 1 : 0));
    }
  }
  CHECK(shard_like("", problem.problem).empty());
}

TEST_CASE("a case that names its kernel and one that gets it are one") {
  const Case open = parse_case(kPrefill);
  const Case named = parse_case(std::string(kPrefill) + " | kernel=prefill");
  CHECK(assign_kernels({open, named}, {}) == assign_kernels({open}, {}));
  CHECK(assign_kernels({named, open}, {}).front() == named);
}

TEST_CASE("match keeps the cases whose string contains the expression") {
  Selection selection{.sources = {kPrefill, "mqa B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16"}};
  selection.match = "^mqa .*Sq=1 ";
  REQUIRE(select(selection).size() == 1);
  CHECK(select(selection)[0].problem.variant == Variant::mqa);
  selection.match = "nothing like it";
  CHECK(select(selection).empty());
  selection.match = "(";
  CHECK_THROWS_WITH(select(selection), Catch::Contains("must be a regular expression"));
}

TEST_CASE("a bad shard is refused with its rule") {
  for (const char* shard : {"0/3", "4/3", "2", "a/b", "1/0", "-1/3"}) {
    CAPTURE(shard);
    Selection selection{.sources = {kPrefill}};
    selection.shard = shard;
    CHECK_THROWS_WITH(select(selection), Catch::Contains("shard: "));
  }
}

TEST_CASE("seed and schedule replace those of every case, and equal cases are run once") {
  Selection selection{
      .sources = {std::string(kPrefill) + " seed=1", std::string(kPrefill) + " seed=2"}};
  selection.seed = 9;
  selection.schedule = 3;
  REQUIRE(select(selection).size() == 1);
  CHECK(print(select(selection)[0]) == std::string(kPrefill) + " seed=9 | schedule=3");
}

TEST_CASE("a case without a kernel gets each kernel that supports it") {
  const Selection selection;
  const auto both =
      assign_kernels({parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16")}, selection);
  REQUIRE(both.size() == 2);
  CHECK(both[0].run.kernel == "prefill");
  CHECK(both[1].run.kernel == "decode");
  const auto long_queries = parse_case("mha B=1 Sq=2000 Sk=9 H=2 G=2 D=64 dtype=bf16");
  const auto one = assign_kernels({long_queries}, selection);
  REQUIRE(one.size() == 1);
  CHECK(one[0].run.kernel == "prefill");
}

TEST_CASE("a case that no kernel supports is kept, so that the run says why it is skipped") {
  CHECK(assign_kernels({parse_case("mha B=1 Sq=1 Sk=9 H=2 D=60 dtype=bf16")}, {}).size() == 1);
  const auto layer =
      assign_kernels({parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 level=layer E=12")}, {});
  REQUIRE(layer.size() == 1);
  CHECK(layer[0].run.kernel == "layer");
}

TEST_CASE("the kernel filter drops cases that name another kernel") {
  Selection selection;
  selection.kernels = {"decode"};
  CHECK(
      assign_kernels({parse_case(std::string(kPrefill) + " | kernel=prefill")}, selection).empty());
  selection.kernels = {"magic"};
  CHECK_THROWS_AS(assign_kernels({parse_case(kPrefill)}, selection), Error);
}
