#include "cases/coverage.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "cases/error.h"

namespace attest {
namespace {

/// The values that each axis may still take, [axes][values].
using Domains = std::vector<std::vector<int>>;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

bool forbidden(const Space& space, const Constraint& constraint, const Domains& fixed) {
  std::size_t index = 0;
  for (int axis : constraint.axes)
    index = index * at(space.sizes[at(axis)]) + at(fixed[at(axis)].front());
  return constraint.forbidden[index];
}

// Drops from every domain the values that a constraint with all its other axes fixed forbids, until
// nothing changes. False when a domain runs empty.
bool propagate(const Space& space, Domains& domains) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const Constraint& constraint : space.constraints) {
      const auto is_open = [&](int axis) { return domains[at(axis)].size() > 1; };
      const auto open = std::count_if(constraint.axes.begin(), constraint.axes.end(), is_open);
      if (open == 0 && forbidden(space, constraint, domains)) return false;
      if (open != 1) continue;
      std::vector<int>& domain =
          domains[at(*std::find_if(constraint.axes.begin(), constraint.axes.end(), is_open))];
      const std::vector<int> before = std::exchange(domain, {0});
      std::vector<int> kept;
      for (int value : before) {
        domain.front() = value;
        if (!forbidden(space, constraint, domains)) kept.push_back(value);
      }
      domain = std::move(kept);
      if (domain.empty()) return false;
      changed |= domain.size() < before.size();
    }
  }
  return true;
}

// True if some choice from the domains breaks no constraint.
bool satisfiable(const Space& space, Domains domains) {
  if (!propagate(space, domains)) return false;
  std::vector<int>* smallest = nullptr;
  for (std::vector<int>& domain : domains)
    if (domain.size() > 1 && (!smallest || domain.size() < smallest->size())) smallest = &domain;
  if (!smallest) return true;
  const std::vector<int> values = *smallest;
  return std::any_of(values.begin(), values.end(), [&](int value) {
    *smallest = {value};
    return satisfiable(space, domains);
  });
}

bool feasible(const Space& space, const Combination& combination) {
  Domains domains;
  for (int size : space.sizes) {
    std::vector<int>& domain = domains.emplace_back(at(size));
    std::iota(domain.begin(), domain.end(), 0);
  }
  for (std::size_t n = 0; n < combination.axes.size(); ++n)
    domains[at(combination.axes[n])] = {combination.values[n]};
  return satisfiable(space, std::move(domains));
}

bool is_valid(const Space& space, const Assignment& row) {
  Domains domains;
  for (int value : row) domains.push_back({value});
  return std::none_of(
      space.constraints.begin(), space.constraints.end(),
      [&](const Constraint& constraint) { return forbidden(space, constraint, domains); });
}

// All choices of `count` of the axes first .. last-1, ascending.
std::vector<std::vector<int>> choices(int first, int last, int count) {
  if (count == 0) return {{}};
  std::vector<std::vector<int>> result;
  for (int axis = first; axis < last; ++axis)
    for (std::vector<int>& rest : choices(axis + 1, last, count - 1)) {
      rest.insert(rest.begin(), axis);
      result.push_back(std::move(rest));
    }
  return result;
}

// Number of a combination among all of the same axes, last axis fastest; and back.
std::size_t number_of(const Space& space, const std::vector<int>& axes, const Assignment& row) {
  std::size_t number = 0;
  for (int axis : axes) number = number * at(space.sizes[at(axis)]) + at(row[at(axis)]);
  return number;
}

Combination combination_of(const Space& space, const std::vector<int>& axes, std::size_t number) {
  Combination result{axes, std::vector<int>(axes.size())};
  for (std::size_t n = axes.size(); n-- > 0;) {
    const std::size_t size = at(space.sizes[at(axes[n])]);
    result.values[n] = static_cast<int>(number % size);
    number /= size;
  }
  return result;
}

// The row of the block that makes this case, if there is one.
std::optional<Assignment> row_of(const Block& block, const Case& c) {
  Assignment row;
  for (const Axis& axis : block.axes) {
    std::vector<std::string> value;
    for (const std::string& key : axis.keys) value.push_back(value_of(c, key));
    const auto found = std::find(axis.values.begin(), axis.values.end(), value);
    if (found == axis.values.end()) return std::nullopt;
    row.push_back(static_cast<int>(found - axis.values.begin()));
  }
  return case_of(block, row) == c ? std::optional(row) : std::nullopt;
}

}  // namespace

CoverageReport coverage(const Space& space, std::span<const Assignment> rows, int strength) {
  CoverageReport report;
  std::vector<Assignment> valid;
  for (const Assignment& row : rows) (is_valid(space, row) ? valid : report.invalid).push_back(row);
  report.rows = valid.size();
  for (const auto& axes : choices(0, static_cast<int>(space.sizes.size()), strength)) {
    std::size_t count = 1;
    for (int axis : axes) count *= at(space.sizes[at(axis)]);
    std::vector<char> seen(count, 0);
    for (const Assignment& row : valid) seen[number_of(space, axes, row)] = 1;
    for (std::size_t number = 0; number < count; ++number) {
      const Combination combination = combination_of(space, axes, number);
      if (seen[number]) {
        ++report.covered;
      } else if (feasible(space, combination)) {
        report.missing.push_back(combination);
      }
    }
    report.combinations += count;
  }
  report.feasible = report.covered + report.missing.size();
  return report;
}

CoverageReport coverage(const Block& block, std::span<const Case> cases, int strength) {
  std::vector<Assignment> rows;
  for (const Case& c : cases)
    if (const std::optional<Assignment> row = row_of(block, c)) rows.push_back(*row);
  return coverage(space_of(block), rows, strength);
}

std::string print(const Block& block, const Combination& combination) {
  std::string text;
  for (std::size_t n = 0; n < combination.axes.size(); ++n) {
    const Axis& axis = block.axes[at(combination.axes[n])];
    for (std::size_t k = 0; k < axis.keys.size(); ++k)
      text += concat(text.empty() ? "" : " ", axis.keys[k], '=',
                     axis.values[at(combination.values[n])][k]);
  }
  return text;
}

}  // namespace attest
