#pragma once

#include <vector>

#include "cases/space.h"

namespace attest {

constexpr int kFree = -1;  ///< an axis of a row that has no value yet

/// Completes rows by backtracking, most constrained axis first. Of the generator (covering.h); the
/// checker (coverage.h) has a search of its own. Keeps a reference to the space.
class Solver {
 public:
  explicit Solver(const Space&);

  /// True unless a constraint that involves `axis` and is fully decided forbids the row.
  bool allows(const Assignment& row, int axis) const;

  /// Gives every free axis a value; false, and the row as it was, if no valid row contains it.
  bool complete(Assignment& row) const;

  /// complete() for a row of which nobody knows yet that its decided axes go together.
  bool complete_from(Assignment& row) const;

 private:
  bool forbids(const Constraint&, const Assignment& row) const;
  std::vector<int> allowed_values(Assignment& row, int axis) const;

  const Space& space_;
  std::vector<std::vector<const Constraint*>> touching_;  // [axes], the constraints of each
};

}  // namespace attest
