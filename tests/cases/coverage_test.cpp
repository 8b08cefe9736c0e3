#include "cases/coverage.h"

#include "cases/covering.h"
#include "tests/cases/space_tools.h"
#include "tests/catch.h"

using namespace attest;

TEST_CASE("pairs are counted as total, feasible, covered and missing") {
  Space space{{2, 2, 2}, {}};
  space.constraints = {forbid(space, {0, 1}, [](const auto& v) { return v[0] + v[1] == 0; })};
  const CoverageReport report = coverage(space, std::vector<Assignment>{{0, 1, 0}, {1, 0, 1}});
  CHECK(report.combinations == 12);
  CHECK(report.feasible == 11);
  CHECK(report.covered == 6);
  CHECK(report.missing == std::vector<Combination>{{{0, 1}, {1, 1}},
                                                   {{0, 2}, {0, 1}},
                                                   {{0, 2}, {1, 0}},
                                                   {{1, 2}, {0, 0}},
                                                   {{1, 2}, {1, 1}}});
  CHECK(report.invalid.empty());
}

TEST_CASE("a pair that no constraint names can be infeasible through a third axis") {
  Space space{{2, 2, 2}, {}};
  space.constraints = {forbid(space, {0, 1}, [](const auto& v) { return v[0] == 0 && v[1] == 1; }),
                       forbid(space, {1, 2}, [](const auto& v) { return v[0] == 0 && v[1] == 1; })};
  const CoverageReport report = coverage(space, {});
  // Named pairs (0,0)-(1,1) and (1,0)-(2,1); and (0,0)-(2,1), which would need one of them.
  CHECK(report.feasible == 12 - 3);
  CHECK(std::find(report.missing.begin(), report.missing.end(), Combination{{0, 2}, {0, 1}}) ==
        report.missing.end());
}

TEST_CASE("a row that breaks a constraint is reported and covers nothing") {
  Space space{{2, 2}, {}};
  space.constraints = {forbid(space, {0, 1}, [](const auto& v) { return v[0] + v[1] == 0; })};
  const CoverageReport report = coverage(space, std::vector<Assignment>{{0, 0}});
  CHECK(report.invalid == std::vector<Assignment>{{0, 0}});
  CHECK(report.covered == 0);
  CHECK(report.feasible == 3);
}

TEST_CASE("strength 3 counts triples, strength 1 values") {
  const Space space{{2, 2, 2, 2}, {}};
  const std::vector<Assignment> rows = {{0, 0, 0, 0}, {1, 1, 1, 1}};
  CHECK(coverage(space, rows, 3).combinations == 32);
  CHECK(coverage(space, rows, 3).covered == 8);
  CHECK(coverage(space, rows, 1).missing.empty());
}

TEST_CASE("feasible pairs are those of the brute-force product, in random spaces") {
  std::mt19937_64 random(11);
  for (int trial = 0; trial < 400; ++trial) {
    const Space space = random_space(random);
    const CoverageReport report = coverage(space, {});
    std::set<Pair> feasible;
    for (const Combination& c : report.missing)
      feasible.insert({c.axes[0], c.values[0], c.axes[1], c.values[1]});
    CAPTURE(trial);
    REQUIRE(feasible == pairs_of(valid_rows(space)));
    REQUIRE(report.feasible == feasible.size());
  }
}

TEST_CASE("feasible triples are those of the brute-force product, in random spaces") {
  std::mt19937_64 random(23);
  std::size_t ruled_out = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const Space space = random_space(random);
    const CoverageReport report = coverage(space, {}, 3);
    std::set<Triple> feasible;
    for (const Combination& c : report.missing)
      feasible.insert({c.axes[0], c.values[0], c.axes[1], c.values[1], c.axes[2], c.values[2]});
    CAPTURE(trial);
    REQUIRE(feasible == triples_of(valid_rows(space)));
    REQUIRE(report.infeasible() == report.combinations - feasible.size());
    ruled_out += report.infeasible();
  }
  CHECK(ruled_out > 1000);
}

TEST_CASE("a triple of which every pair can occur can be infeasible") {
  // Of four parties no three may meet: each pair of them still can.
  Space space{{2, 2, 2, 2}, {}};
  for (int left_out = 0; left_out < 4; ++left_out) {
    std::vector<int> axes;
    for (int a = 0; a < 4; ++a)
      if (a != left_out) axes.push_back(a);
    space.constraints.push_back(
        forbid(space, axes, [](const auto& v) { return v[0] + v[1] + v[2] == 3; }));
  }
  CHECK(coverage(space, {}, 2).infeasible() == 0);
  CHECK(coverage(space, {}, 3).infeasible() == 4);
  CHECK(coverage(space, triplewise(space), 3).missing.empty());
}

TEST_CASE("a dropped row shows as the triples that only it had") {
  Space space{{5, 4, 3, 3}, {}};
  space.constraints = {forbid(space, {0, 1, 2}, [](const auto& v) { return v[0] < v[1] - v[2]; })};
  const std::vector<Assignment> rows = triplewise(space);
  REQUIRE(coverage(space, rows, 3).missing.empty());
  for (std::size_t dropped = 0; dropped < rows.size(); ++dropped) {
    std::vector<Assignment> rest = rows;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(dropped));
    std::set<Triple> lost = triples_of(rows), missing;
    for (const Triple& triple : triples_of(rest)) lost.erase(triple);
    for (const Combination& c : coverage(space, rest, 3).missing)
      missing.insert({c.axes[0], c.values[0], c.axes[1], c.values[1], c.axes[2], c.values[2]});
    CAPTURE(dropped);
    CHECK(missing == lost);
  }
}

TEST_CASE("a deliberately dropped row shows as the pairs that only it had") {
  Space space{{5, 4, 3, 3}, {}};
  space.constraints = {forbid(space, {0, 1, 2}, [](const auto& v) { return v[0] < v[1] - v[2]; })};
  const std::vector<Assignment> rows = pairwise(space);
  REQUIRE(coverage(space, rows).missing.empty());
  for (std::size_t dropped = 0; dropped < rows.size(); ++dropped) {
    std::vector<Assignment> rest = rows;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(dropped));
    const auto before = pairs_of(rows), after = pairs_of(rest);
    const CoverageReport report = coverage(space, rest);
    CAPTURE(dropped);
    CHECK(report.missing.size() == before.size() - after.size());
    for (const Combination& c : report.missing)
      CHECK_FALSE(after.contains({c.axes[0], c.values[0], c.axes[1], c.values[1]}));
  }
}

TEST_CASE("twelve axes of nineteen values tied together are decided") {
  Space space{std::vector<int>(12, 19), {}};
  for (int a = 0; a + 1 < 12; ++a)
    space.constraints.push_back(
        forbid(space, {a, a + 1}, [](const auto& v) { return v[0] > v[1]; }));
  // A rising sequence: each of the 66 pairs of axes can take any u <= v, 190 pairs of values.
  const CoverageReport report = coverage(space, {});
  CHECK(report.combinations == 66 * 361);
  CHECK(report.feasible == 66 * 190);
  const CoverageReport triples = coverage(
      Space{{19, 19, 19, 19}, {space.constraints.begin(), space.constraints.begin() + 3}}, {}, 3);
  CHECK(triples.combinations == 4 * 6859);
  CHECK(triples.feasible == 4 * 1330);  // u <= v <= w
}

TEST_CASE("finished cases are traced back to the axes of their block") {
  const Matrix matrix = parse_matrix(R"(
variant: gqa
coverage: product
axes:
  B: [1, 3]
  "Sq,Sk": [[2, 9], [5, 4]]
  R: [2, 7]
  G: [2, 3]
  D: 64
  dtype: [bf16, fp16]
  fill: [normal, flat]
exclude:
  - H == 4 && Sq == 5
expect: 56
)",
                                     "m.yaml");
  const Block& block = matrix.blocks.front();
  std::vector<Case> all = cases(block);
  const CoverageReport full = coverage(block, all);
  // Axes of 2, 2, 2, 2, 1, 2, 2 values: 15 pairs of axes with 4, 6 with 2.
  CHECK(full.combinations == 72);
  CHECK(full.missing.empty());

  std::vector<Case> one = {parse_case("gqa B=3 Sq=5 Sk=4 H=21 G=3 D=64 dtype=fp16 fill=flat")};
  CHECK(coverage(block, one).covered == 21);
  CHECK(print(block, coverage(block, one).missing.front()) == "B=1 Sq=2 Sk=9");
  one = {parse_case("gqa B=3 Sq=5 Sk=4 H=21 G=3 D=64 dtype=fp16 fill=flat seed=1")};
  CHECK(coverage(block, one).covered == 0);  // not of this block
  one = {parse_case("gqa B=3 Sq=5 Sk=4 H=4 G=2 D=64 dtype=fp16 fill=flat")};
  CHECK(coverage(block, one).invalid.size() == 1);
}
