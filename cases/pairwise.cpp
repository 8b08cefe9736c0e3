#include "cases/pairwise.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>

#include "cases/error.h"

namespace attest {
namespace {

constexpr int kFree = -1;        // an axis of a row that has no value yet
constexpr int kArrays = 4;       // covering arrays to choose from
constexpr int kCandidates = 12;  // greedy rows to choose from; more gain less than they cost
constexpr std::size_t kMaxProduct = 1'000'000;

/// Completes rows by backtracking, most constrained axis first.
class Solver {
 public:
  explicit Solver(const Space& space) : space_(space), touching_(space.sizes.size()) {
    for (const Constraint& constraint : space.constraints)
      for (int axis : constraint.axes) touching_[at(axis)].push_back(&constraint);
  }

  /// True unless a constraint that involves `axis` and is fully decided forbids the row.
  bool allows(const Assignment& row, int axis) const {
    return std::none_of(touching_[at(axis)].begin(), touching_[at(axis)].end(),
                        [&](const Constraint* constraint) { return forbids(*constraint, row); });
  }

  /// Gives every free axis a value; false, and the row as it was, if no valid row contains it.
  bool complete(Assignment& row) const {
    int axis = kFree;
    std::vector<int> values;
    for (int candidate = 0; candidate < static_cast<int>(row.size()); ++candidate) {
      if (row[at(candidate)] != kFree) continue;
      std::vector<int> allowed = allowed_values(row, candidate);
      if (axis != kFree && allowed.size() >= values.size()) continue;
      axis = candidate;
      values = std::move(allowed);
    }
    if (axis == kFree) return true;
    for (int value : values) {
      row[at(axis)] = value;
      if (complete(row)) return true;
    }
    row[at(axis)] = kFree;
    return false;
  }

  /// complete() for a row of which nobody knows yet that its decided axes go together.
  bool complete_from(Assignment& row) const {
    for (int axis = 0; axis < static_cast<int>(row.size()); ++axis)
      if (row[at(axis)] != kFree && !allows(row, axis)) return false;
    return complete(row);
  }

 private:
  static std::size_t at(int index) { return static_cast<std::size_t>(index); }

  bool forbids(const Constraint& constraint, const Assignment& row) const {
    int index = 0;
    for (int axis : constraint.axes) {
      if (row[at(axis)] == kFree) return false;
      index = index * space_.sizes[at(axis)] + row[at(axis)];
    }
    return constraint.forbidden[at(index)];
  }

  std::vector<int> allowed_values(Assignment& row, int axis) const {
    std::vector<int> values;
    for (int value = 0; value < space_.sizes[at(axis)]; ++value) {
      row[at(axis)] = value;
      if (allows(row, axis)) values.push_back(value);
    }
    row[at(axis)] = kFree;
    return values;
  }

  const Space& space_;
  std::vector<std::vector<const Constraint*>> touching_;  // [axes], the constraints of each
};

/// The pairs that are still to be covered. Values of all axes are numbered through.
class PairTable {
 public:
  PairTable(const Space& space, const Solver& solver) : first_(space.sizes.size() + 1, 0) {
    std::partial_sum(space.sizes.begin(), space.sizes.end(), first_.begin() + 1);
    const std::size_t count = static_cast<std::size_t>(first_.back());
    open_.assign(count, std::vector<char>(count, 0));
    opened_of_.assign(count, 0);
    for (std::size_t a = 0; a < space.sizes.size(); ++a)
      for (std::size_t b = a + 1; b < space.sizes.size(); ++b)
        for (int u = 0; u < space.sizes[a]; ++u)
          for (int v = 0; v < space.sizes[b]; ++v) open_if_feasible(space, solver, a, b, u, v);
  }

  /// Number of open pairs that value `value` of `axis` makes with the decided axes of a row.
  int gain(const Assignment& row, std::size_t axis, int value) const {
    int pairs = 0;
    for (std::size_t other = 0; other < row.size(); ++other)
      if (other != axis && row[other] != kFree)
        pairs += open_[id(axis, value)][id(other, row[other])];
    return pairs;
  }

  int gain(const Assignment& row) const {
    int twice = 0;
    for (std::size_t axis = 0; axis < row.size(); ++axis) twice += gain(row, axis, row[axis]);
    return twice / 2;
  }

  void close(const Assignment& row) {
    for (std::size_t a = 0; a < row.size(); ++a)
      for (std::size_t b = a + 1; b < row.size(); ++b) set(id(a, row[a]), id(b, row[b]), 0);
  }

  bool all_closed() const { return pairs_ == 0; }

  /// Number of open pairs of a value.
  int open_pairs(std::size_t axis, int value) const { return opened_of_[id(axis, value)]; }
  bool is_open(std::size_t a, int u, std::size_t b, int v) const {
    return open_[id(a, u)][id(b, v)];
  }

 private:
  std::size_t id(std::size_t axis, int value) const {
    return static_cast<std::size_t>(first_[axis] + value);
  }

  // A completed row proves all of its pairs at once.
  void open_if_feasible(const Space& space, const Solver& solver, std::size_t a, std::size_t b,
                        int u, int v) {
    if (is_open(a, u, b, v)) return;
    Assignment row(space.sizes.size(), kFree);
    row[a] = u;
    row[b] = v;
    if (!solver.complete_from(row)) return;
    for (std::size_t c = 0; c < row.size(); ++c)
      for (std::size_t d = c + 1; d < row.size(); ++d) set(id(c, row[c]), id(d, row[d]), 1);
  }

  void set(std::size_t x, std::size_t y, char open) {
    if (open_[x][y] == open) return;
    open_[x][y] = open_[y][x] = open;
    const int change = open ? 1 : -1;
    opened_of_[x] += change;
    opened_of_[y] += change;
    pairs_ += change;
  }

  std::vector<int> first_;               // number of the first value of each axis
  std::vector<std::vector<char>> open_;  // [values, values], symmetric
  std::vector<int> opened_of_;           // [values]
  int pairs_ = 0;
};

/// What building a row needs to see.
struct Greedy {
  const Space& space;
  const Solver& solver;
  const PairTable& pairs;
  std::mt19937_64 random;  // its numbers are fixed by the C++ standard

  std::uint64_t below(std::uint64_t n) { return random() % n; }
};

struct Choice {
  std::size_t axis;
  int value;
  int gain;           // pairs that it would close
  std::uint64_t lot;  // decides between equals

  bool operator<(const Choice& other) const {
    return gain != other.gain ? gain > other.gain : lot < other.lot;
  }
};

// An open pair, so that each row makes progress: the value with most open pairs, and its partner
// with most.
Assignment start(Greedy& greedy) {
  const auto best_value = [&](auto&& wanted) {
    Choice best{0, 0, -1, 0};
    for (std::size_t axis = 0; axis < greedy.space.sizes.size(); ++axis)
      for (int value = 0; value < greedy.space.sizes[axis]; ++value) {
        if (!wanted(axis, value)) continue;
        const Choice choice{axis, value, greedy.pairs.open_pairs(axis, value), greedy.random()};
        if (choice < best) best = choice;
      }
    return best;
  };
  const Choice first = best_value([](std::size_t, int) { return true; });
  const Choice second = best_value([&](std::size_t axis, int value) {
    return greedy.pairs.is_open(first.axis, first.value, axis, value);
  });
  Assignment row(greedy.space.sizes.size(), kFree);
  row[first.axis] = first.value;
  row[second.axis] = second.value;
  return row;
}

void decide(Greedy& greedy, Assignment& row, std::size_t axis) {
  std::vector<Choice> choices;
  for (int value = 0; value < greedy.space.sizes[axis]; ++value)
    choices.push_back({axis, value, greedy.pairs.gain(row, axis, value), greedy.random()});
  std::sort(choices.begin(), choices.end());
  for (const Choice& choice : choices) {
    row[axis] = choice.value;
    Assignment rest = row;
    if (greedy.solver.allows(row, static_cast<int>(axis)) && greedy.solver.complete(rest)) return;
  }
  throw Error("pairwise: a row that can be completed must have a next value, got none");
}

Assignment candidate(Greedy& greedy) {
  Assignment row = start(greedy);
  std::vector<std::size_t> order;
  for (std::size_t axis = 0; axis < row.size(); ++axis)
    if (row[axis] == kFree) order.push_back(axis);
  for (std::size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[greedy.below(n)]);
  for (std::size_t axis : order) decide(greedy, row, axis);
  return row;
}

std::vector<Assignment> cover(const Space& space, const Solver& solver, PairTable pairs, int seed) {
  Greedy greedy{space, solver, pairs, std::mt19937_64(static_cast<std::uint64_t>(seed))};
  std::vector<Assignment> rows;
  while (!pairs.all_closed()) {
    Assignment best = candidate(greedy);
    for (int n = 1; n < kCandidates; ++n)
      if (Assignment row = candidate(greedy); pairs.gain(row) > pairs.gain(best))
        best = std::move(row);
    pairs.close(best);
    rows.push_back(std::move(best));
  }
  return rows;
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
  const Solver solver(space);
  const PairTable pairs(space, solver);
  std::vector<Assignment> fewest;
  for (int seed = 0; seed < kArrays; ++seed)
    if (std::vector<Assignment> rows = cover(space, solver, pairs, seed);
        seed == 0 || rows.size() < fewest.size())
      fewest = std::move(rows);
  return fewest;
}

}  // namespace attest
