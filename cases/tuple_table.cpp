#include "cases/tuple_table.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace attest {

TupleTable::TupleTable(const Space& space, const Solver& solver, int strength)
    : strength_(strength), first_(space.sizes.size() + 1, 0) {
  std::partial_sum(space.sizes.begin(), space.sizes.end(), first_.begin() + 1);
  count_ = static_cast<std::size_t>(first_.back());
  open_with_.assign(count_ * count_, 0);
  open_of_.assign(count_, 0);
  if (strength == 3) open_.assign(count_ * count_ * count_, 0);
  Assignment row(space.sizes.size(), kFree);
  const auto each_value = [&](std::size_t axis, auto&& function) {
    for (row[axis] = 0; row[axis] < space.sizes[axis]; ++row[axis]) function();
    row[axis] = kFree;
  };
  for (std::size_t a = 0; a < row.size(); ++a)
    for (std::size_t b = a + 1; b < row.size(); ++b) {
      const auto pairs = [&](auto&& function) { each_value(a, [&] { each_value(b, function); }); };
      if (strength == 2) pairs([&] { open_if_feasible(space, solver, row); });
      for (std::size_t c = b + 1; strength == 3 && c < row.size(); ++c)
        pairs([&] { each_value(c, [&] { open_if_feasible(space, solver, row); }); });
    }
}

int TupleTable::gain(const Assignment& row, std::size_t axis, int value) const {
  const std::size_t own = id(axis, value);
  int tuples = 0;
  if (strength_ == 2) {
    for (std::size_t other = 0; other < row.size(); ++other)
      if (other != axis && row[other] != kFree) tuples += pair(own, id(other, row[other]));
    return tuples;
  }
  for (std::size_t b = 0; b < row.size(); ++b) {
    if (b == axis || row[b] == kFree || pair(own, id(b, row[b])) == 0) continue;
    for (std::size_t c = b + 1; c < row.size(); ++c)
      if (c != axis && row[c] != kFree) tuples += triple(own, id(b, row[b]), id(c, row[c]));
  }
  return tuples;
}

int TupleTable::gain(const Assignment& row) const {
  int sum = 0;
  for (std::size_t axis = 0; axis < row.size(); ++axis) sum += gain(row, axis, row[axis]);
  return sum / strength_;
}

bool TupleTable::leads_to_open(const Assignment& row, std::size_t axis, int value) const {
  const std::vector<std::size_t> others = decided(row);
  const std::size_t own = id(axis, value);
  if (others.empty()) return open_of_[own] > 0;
  return others.size() == 1 ? pair(others[0], own) > 0 : triple(others[0], others[1], own) != 0;
}

std::vector<std::size_t> TupleTable::decided(const Assignment& row) const {
  std::vector<std::size_t> ids;
  for (std::size_t axis = 0; axis < row.size(); ++axis)
    if (row[axis] != kFree) ids.push_back(id(axis, row[axis]));
  return ids;
}

// A completed row proves all of its tuples at once.
void TupleTable::open_if_feasible(const Space&, const Solver& solver, Assignment tuple) {
  const std::vector<std::size_t> ids = decided(tuple);
  if (strength_ == 2 ? pair(ids[0], ids[1]) > 0 : triple(ids[0], ids[1], ids[2]) != 0) return;
  if (solver.complete_from(tuple)) set_all(tuple, 1);
}

void TupleTable::set_all(const Assignment& row, char open) {
  const std::vector<std::size_t> ids = decided(row);
  for (std::size_t a = 0; a < ids.size(); ++a)
    for (std::size_t b = a + 1; b < ids.size(); ++b) {
      if (strength_ == 2) set(ids[a], ids[b], open);
      for (std::size_t c = b + 1; strength_ == 3 && c < ids.size(); ++c)
        set(ids[a], ids[b], ids[c], open);
    }
}

void TupleTable::set(std::size_t x, std::size_t y, char open) {
  if (pair(x, y) == open) return;
  pair(x, y) = pair(y, x) = open;
  const int change = open ? 1 : -1;
  for (std::size_t value : {x, y}) open_of_[value] += change;
  tuples_ += change;
}

void TupleTable::set(std::size_t x, std::size_t y, std::size_t z, char open) {
  if (triple(x, y, z) == open) return;
  const int change = open ? 1 : -1;
  std::array<std::size_t, 3> ids = {x, y, z};  // ascending
  do {
    open_[(ids[0] * count_ + ids[1]) * count_ + ids[2]] = open;
    if (ids[1] < ids[2]) open_of_[ids[0]] += change;
    pair(ids[0], ids[1]) += change;
  } while (std::next_permutation(ids.begin(), ids.end()));
  tuples_ += change;
}

}  // namespace attest
