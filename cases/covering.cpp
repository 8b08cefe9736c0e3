#include "cases/covering.h"

#include <algorithm>
#include <cstdint>
#include <random>

#include "cases/error.h"
#include "cases/solver.h"
#include "cases/tuple_table.h"

namespace attest {
namespace {

constexpr int kArrays = 4;        // covering arrays of pairs to choose from
constexpr int kTripleArrays = 1;  // and of triples
constexpr int kCandidates = 12;   // greedy rows to choose from; more gain less than they cost
constexpr std::size_t kMaxProduct = 1'000'000;

/// What building a row needs to see.
struct Greedy {
  const Space& space;
  const Solver& solver;
  const TupleTable& tuples;
  std::mt19937_64 random;  // its numbers are fixed by the C++ standard

  std::uint64_t below(std::uint64_t n) { return random() % n; }
};

struct Choice {
  std::size_t axis;
  int value;
  int gain;           // tuples that it would close
  std::uint64_t lot;  // decides between equals

  bool operator<(const Choice& other) const {
    return gain != other.gain ? gain > other.gain : lot < other.lot;
  }
};

// An open tuple, so that each row makes progress: the value with most open tuples, then the partner
// with most, until the tuple is whole.
Assignment start(Greedy& greedy) {
  Assignment row(greedy.space.sizes.size(), kFree);
  for (int n = 0; n < greedy.tuples.strength(); ++n) {
    Choice best{0, 0, -1, 0};
    for (std::size_t axis = 0; axis < row.size(); ++axis)
      for (int value = 0; value < greedy.space.sizes[axis]; ++value) {
        if (n > 0 && !greedy.tuples.leads_to_open(row, axis, value)) continue;
        const Choice choice{axis, value, greedy.tuples.open_tuples(axis, value), greedy.random()};
        if (choice < best) best = choice;
      }
    row[best.axis] = best.value;
  }
  return row;
}

// Gives `axis` the value that closes most. `whole` is a valid row that contains `row`, and will be.
void decide(Greedy& greedy, Assignment& row, std::size_t axis, Assignment& whole) {
  std::vector<Choice> choices;
  for (int value = 0; value < greedy.space.sizes[axis]; ++value)
    choices.push_back({axis, value, greedy.tuples.gain(row, axis, value), greedy.random()});
  std::sort(choices.begin(), choices.end());
  for (const Choice& choice : choices) {
    row[axis] = choice.value;
    if (choice.value == whole[axis]) return;
    Assignment rest = row;
    if (!greedy.solver.allows(row, static_cast<int>(axis)) || !greedy.solver.complete(rest))
      continue;
    whole = std::move(rest);
    return;
  }
  throw Error("covering: a row that can be completed must have a next value, got none");
}

Assignment candidate(Greedy& greedy) {
  Assignment row = start(greedy);
  std::vector<std::size_t> order;
  for (std::size_t axis = 0; axis < row.size(); ++axis)
    if (row[axis] == kFree) order.push_back(axis);
  for (std::size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[greedy.below(n)]);
  Assignment whole = row;
  ATTEST_CHECK(greedy.solver.complete(whole),
               "covering: an open tuple must be part of a valid row, got one that is not");
  for (std::size_t axis : order) decide(greedy, row, axis, whole);
  return row;
}

// Adds rows until every tuple of the table is covered.
std::vector<Assignment> extend(const Space& space, const Solver& solver, TupleTable tuples,
                               std::vector<Assignment> rows, int seed) {
  for (const Assignment& row : rows) tuples.close(row);
  Greedy greedy{space, solver, tuples, std::mt19937_64(static_cast<std::uint64_t>(seed))};
  while (!tuples.all_closed()) {
    Assignment best = candidate(greedy);
    for (int n = 1; n < kCandidates; ++n)
      if (Assignment row = candidate(greedy); tuples.gain(row) > tuples.gain(best))
        best = std::move(row);
    tuples.close(best);
    rows.push_back(std::move(best));
  }
  return rows;
}

// The smallest of a few arrays that start with `first`.
std::vector<Assignment> smallest(const Space& space, const std::vector<Assignment>& first,
                                 int strength, int arrays) {
  const Solver solver(space);
  const TupleTable tuples(space, solver, strength);
  std::vector<Assignment> fewest;
  for (int seed = 0; seed < arrays; ++seed)
    if (std::vector<Assignment> rows = extend(space, solver, tuples, first, seed);
        seed == 0 || rows.size() < fewest.size())
      fewest = std::move(rows);
  return fewest;
}

}  // namespace

std::vector<Assignment> product(const Space& space) {
  const Solver solver(space);
  std::vector<Assignment> rows(1, Assignment(space.sizes.size(), kFree));
  for (int axis = 0; axis < static_cast<int>(space.sizes.size()); ++axis) {
    const std::size_t a = static_cast<std::size_t>(axis);
    std::vector<Assignment> longer;
    for (Assignment& row : rows)
      for (int value = 0; value < space.sizes[a]; ++value) {
        row[a] = value;
        if (solver.allows(row, axis)) longer.push_back(row);
        ATTEST_CHECK(longer.size() <= kMaxProduct, "product: must have at most ", kMaxProduct,
                     " rows, got more; use coverage: pairwise");
      }
    rows = std::move(longer);
  }
  return rows;
}

std::vector<Assignment> pairwise(const Space& space) {
  if (space.sizes.size() < 2) return product(space);
  return smallest(space, {}, 2, kArrays);
}

std::vector<Assignment> triplewise(const Space& space) {
  if (space.sizes.size() < 3) return product(space);
  return smallest(space, pairwise(space), 3, kTripleArrays);
}

}  // namespace attest
