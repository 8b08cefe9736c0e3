#include "cases/covering.h"

#include "cases/error.h"
#include "tests/cases/space_tools.h"
#include "tests/catch.h"

using namespace attest;

TEST_CASE("the product lists every valid row in lexicographic order") {
  Space space{{2, 3}, {}};
  CHECK(product(space) == std::vector<Assignment>{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}});
  space.constraints = {forbid(space, {1, 0}, [](const auto& v) { return v[0] > v[1]; })};
  CHECK(product(space) == std::vector<Assignment>{{0, 0}, {1, 0}, {1, 1}});
}

TEST_CASE("a product beyond a million rows is refused") {
  CHECK_THROWS_WITH(product(Space{{200, 200, 200}, {}}),
                    Catch::Contains("at most 1000000 rows") && Catch::Contains("pairwise"));
}

TEST_CASE("one axis gives its valid values, no valid row gives none") {
  Space space{{3}, {}};
  space.constraints = {forbid(space, {0}, [](const auto& v) { return v[0] == 1; })};
  CHECK(pairwise(space) == std::vector<Assignment>{{0}, {2}});
  CHECK(triplewise(space) == std::vector<Assignment>{{0}, {2}});
  space = {{2, 2}, {}};
  space.constraints = {forbid(space, {0}, [](const auto&) { return true; })};
  CHECK(pairwise(space).empty());
  CHECK(triplewise(space).empty());
}

TEST_CASE("covers are close to the known minimum") {
  // Minimal sizes: orthogonal arrays for 2^3 and 3^4; Kleitman and Spencer 1973 for 2^10 (6); the
  // product of the two largest axes is a lower bound.
  const auto [sizes, minimum, allowed] =
      GENERATE(table<std::vector<int>, std::size_t, std::size_t>({
          {{2, 2, 2}, 4, 4},
          {{3, 3, 3, 3}, 9, 10},
          {std::vector<int>(10, 2), 6, 8},
          {{19, 11, 6, 4, 3, 3, 2, 2}, 209, 212},
          {{5, 1, 7}, 35, 35},
      }));
  const Space space{sizes, {}};
  const auto rows = pairwise(space);
  CAPTURE(rows.size());
  CHECK(rows.size() >= minimum);
  CHECK(rows.size() <= allowed);
  if (sizes.size() < 8) CHECK(pairs_of(rows) == pairs_of(valid_rows(space)));
}

TEST_CASE("every pair of a valid row is covered, by valid rows only, whatever the constraints") {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 400; ++trial) {
    const Space space = random_space(random);
    const auto all = valid_rows(space), rows = pairwise(space);
    CAPTURE(trial);
    REQUIRE(pairs_of(rows) == pairs_of(all));
    REQUIRE(std::all_of(rows.begin(), rows.end(), [&](const Assignment& row) {
      return std::find(all.begin(), all.end(), row) != all.end();
    }));
    REQUIRE(rows.size() <= std::max<std::size_t>(1, pairs_of(all).size()));
  }
}

TEST_CASE("pairs that only a chain of constraints allows in one way are not lost") {
  // Neighbours must differ by 0 or 1 (mod 5): value 0 at one end leaves one way to value 4.
  Space space{{5, 5, 5, 5, 5}, {}};
  for (int a = 0; a + 1 < 5; ++a)
    space.constraints.push_back(forbid(
        space, {a, a + 1}, [](const auto& v) { return v[1] != v[0] && v[1] != (v[0] + 1) % 5; }));
  const auto pairs = pairs_of(pairwise(space));
  CHECK(pairs == pairs_of(valid_rows(space)));
  CHECK(pairs.contains({0, 0, 4, 4}));
  const auto triples = triples_of(triplewise(space));
  CHECK(triples == triples_of(valid_rows(space)));
  CHECK(triples.contains({0, 0, 2, 2, 4, 4}));
}

TEST_CASE("constraints over three axes that leave a pair one single completion keep the pair") {
  // H = R * G with H below 9 and no two of B, R, G equal: typical of a case matrix.
  Space space{{8, 8, 8}, {}};
  space.constraints = {forbid(space, {0, 1, 2}, [](const auto& v) {
    return (v[1] + 1) * (v[2] + 1) != v[0] + 1;  // only divisors multiply to H
  })};
  CHECK(pairs_of(pairwise(space)) == pairs_of(valid_rows(space)));
}

TEST_CASE("the same space gives the same rows") {
  Space space{{4, 3, 3, 2}, {}};
  CHECK(pairwise(space) == pairwise(space));
  CHECK(triplewise(space) == triplewise(space));
}

TEST_CASE("every triple of a valid row is covered, by valid rows only, whatever the constraints") {
  std::mt19937_64 random(17);
  for (int trial = 0; trial < 400; ++trial) {
    const Space space = random_space(random);
    const auto all = valid_rows(space), rows = triplewise(space);
    CAPTURE(trial);
    REQUIRE(triples_of(rows) == triples_of(all));
    REQUIRE(pairs_of(rows) == pairs_of(all));
    REQUIRE(std::all_of(rows.begin(), rows.end(), [&](const Assignment& row) {
      return std::find(all.begin(), all.end(), row) != all.end();
    }));
    REQUIRE(std::set(rows.begin(), rows.end()).size() == rows.size());
  }
}

TEST_CASE("covers of triples start with that of pairs and are close to the known minimum") {
  // Minimal sizes: orthogonal arrays for 2^4 and 3^4; for the others the product of the three
  // largest axes is a lower bound.
  const auto [sizes, minimum, allowed] =
      GENERATE(table<std::vector<int>, std::size_t, std::size_t>({
          {{2, 2, 2, 2}, 8, 10},
          {{3, 3, 3, 3}, 27, 38},
          {{19, 11, 6, 4, 3, 3, 2, 2}, 1254, 1270},
          {{5, 1, 7}, 35, 35},
      }));
  const Space space{sizes, {}};
  const auto pairs = pairwise(space), rows = triplewise(space);
  CAPTURE(rows.size());
  CHECK(rows.size() >= minimum);
  CHECK(rows.size() <= allowed);
  REQUIRE(rows.size() >= pairs.size());
  CHECK(std::equal(pairs.begin(), pairs.end(), rows.begin()));
}
