#pragma once

// Brute force over small spaces, for the tests of the generator and of the checker.
#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "cases/space.h"

namespace attest {

using Pair = std::tuple<int, int, int, int>;  // axis, value, axis, value
using Triple = std::tuple<int, int, int, int, int, int>;

/// Forbids what `rule` says of the values of `axes`.
inline Constraint forbid(const Space& space, std::vector<int> axes,
                         const std::function<bool(const std::vector<int>&)>& rule) {
  Constraint result{std::move(axes), {}};
  std::vector<int> values(result.axes.size(), 0);
  const std::function<void(std::size_t)> fill = [&](std::size_t n) {
    if (n == values.size()) return result.forbidden.push_back(rule(values));
    for (int v = 0; v < space.sizes[static_cast<std::size_t>(result.axes[n])]; ++v) {
      values[n] = v;
      fill(n + 1);
    }
  };
  fill(0);
  return result;
}

inline bool breaks(const Space& space, const Constraint& constraint, const Assignment& row) {
  std::size_t index = 0;
  for (int axis : constraint.axes) {
    const auto a = static_cast<std::size_t>(axis);
    index = index * static_cast<std::size_t>(space.sizes[a]) + static_cast<std::size_t>(row[a]);
  }
  return constraint.forbidden[index];
}

/// All rows that break no constraint.
inline std::vector<Assignment> valid_rows(const Space& space) {
  std::vector<Assignment> rows;
  Assignment row(space.sizes.size(), 0);
  const std::function<void(std::size_t)> walk = [&](std::size_t axis) {
    if (axis < row.size()) {
      for (int v = 0; v < space.sizes[axis]; ++v) {
        row[axis] = v;
        walk(axis + 1);
      }
    } else if (std::none_of(space.constraints.begin(), space.constraints.end(),
                            [&](const Constraint& c) { return breaks(space, c, row); })) {
      rows.push_back(row);
    }
  };
  walk(0);
  return rows;
}

inline std::set<Pair> pairs_of(const std::vector<Assignment>& rows) {
  std::set<Pair> pairs;
  for (const Assignment& row : rows)
    for (std::size_t a = 0; a < row.size(); ++a)
      for (std::size_t b = a + 1; b < row.size(); ++b)
        pairs.insert({static_cast<int>(a), row[a], static_cast<int>(b), row[b]});
  return pairs;
}

inline std::set<Triple> triples_of(const std::vector<Assignment>& rows) {
  std::set<Triple> triples;
  for (const Assignment& row : rows)
    for (std::size_t a = 0; a < row.size(); ++a)
      for (std::size_t b = a + 1; b < row.size(); ++b)
        for (std::size_t c = b + 1; c < row.size(); ++c)
          triples.insert({static_cast<int>(a), row[a], static_cast<int>(b), row[b],
                          static_cast<int>(c), row[c]});
  return triples;
}

/// 2-5 axes with 1-4 values, and up to six constraints over 1-3 axes that forbid a random share.
inline Space random_space(std::mt19937_64& random) {
  const auto below = [&](int n) {
    return static_cast<int>(random() % static_cast<std::uint64_t>(n));
  };
  Space space;
  for (int axes = 2 + below(4); axes > 0; --axes) space.sizes.push_back(1 + below(4));
  for (int n = below(7); n > 0; --n) {
    std::set<int> scope;
    for (int k = 1 + below(3); k > 0; --k)
      scope.insert(below(static_cast<int>(space.sizes.size())));
    const int percent = 10 + below(60);
    space.constraints.push_back(forbid(space, {scope.begin(), scope.end()},
                                       [&](const auto&) { return below(100) < percent; }));
  }
  return space;
}

}  // namespace attest
