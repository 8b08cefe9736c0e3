#pragma once

#include <vector>

namespace attest {

/// One choice per axis: row[a] is the index of a value of axis a.
using Assignment = std::vector<int>;

/// Combinations of a few axes that must not occur together.
struct Constraint {
  std::vector<int> axes;        ///< distinct
  std::vector<char> forbidden;  ///< one entry per combination of their values, last axis fastest
};

/// What a covering array is built over, and checked against: axes with sizes[a] values each, and
/// what is ruled out. A row is valid if no constraint forbids it. Data only: the generator
/// (covering.h) and the checker (coverage.h) share no code.
struct Space {
  std::vector<int> sizes;
  std::vector<Constraint> constraints;
};

}  // namespace attest
