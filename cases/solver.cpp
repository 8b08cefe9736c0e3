#include "cases/solver.h"

#include <algorithm>
#include <utility>

namespace attest {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

}  // namespace

Solver::Solver(const Space& space) : space_(space), touching_(space.sizes.size()) {
  for (const Constraint& constraint : space.constraints)
    for (int axis : constraint.axes) touching_[at(axis)].push_back(&constraint);
}

bool Solver::allows(const Assignment& row, int axis) const {
  return std::none_of(touching_[at(axis)].begin(), touching_[at(axis)].end(),
                      [&](const Constraint* constraint) { return forbids(*constraint, row); });
}

bool Solver::complete(Assignment& row) const {
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

bool Solver::complete_from(Assignment& row) const {
  for (int axis = 0; axis < static_cast<int>(row.size()); ++axis)
    if (row[at(axis)] != kFree && !allows(row, axis)) return false;
  return complete(row);
}

bool Solver::forbids(const Constraint& constraint, const Assignment& row) const {
  int index = 0;
  for (int axis : constraint.axes) {
    if (row[at(axis)] == kFree) return false;
    index = index * space_.sizes[at(axis)] + row[at(axis)];
  }
  return constraint.forbidden[at(index)];
}

std::vector<int> Solver::allowed_values(Assignment& row, int axis) const {
  std::vector<int> values;
  for (int value = 0; value < space_.sizes[at(axis)]; ++value) {
    row[at(axis)] = value;
    if (allows(row, axis)) values.push_back(value);
  }
  row[at(axis)] = kFree;
  return values;
}

}  // namespace attest
