#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cases/matrix.h"
#include "cases/space.h"

namespace attest {

/// One value of each of a few axes: axes[n] takes values[n].
struct Combination {
  std::vector<int> axes, values;

  bool operator==(const Combination&) const = default;
};

/// What rows cover of a space, for combinations of `strength` axes (2: pairs, 3: triples).
struct CoverageReport {
  std::size_t rows = 0;              ///< given rows that are valid
  std::size_t combinations = 0;      ///< of values of `strength` axes, over all choices of axes
  std::size_t feasible = 0;          ///< that occur in some valid row: covered + missing
  std::size_t covered = 0;           ///< that occur in a given row
  std::vector<Combination> missing;  ///< feasible and not covered
  std::vector<Assignment> invalid;   ///< given rows that break a constraint; they cover nothing

  std::size_t infeasible() const { return combinations - feasible; }  ///< excluded everywhere
};

/// Judges rows from the space alone, whatever made them. Feasibility of what no row covers is
/// decided by a complete search.
CoverageReport coverage(const Space&, std::span<const Assignment> rows, int strength = 2);

/// The same for a block and finished cases, from their keys: cases whose keys take values outside
/// the block's axes are passed over.
CoverageReport coverage(const Block&, std::span<const Case>, int strength = 2);

/// The values as in a case string, such as `Sk=65 fill=needle`.
std::string print(const Block&, const Combination&);

}  // namespace attest
