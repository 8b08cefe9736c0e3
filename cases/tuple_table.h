#pragma once

#include <cstddef>
#include <vector>

#include "cases/solver.h"
#include "cases/space.h"

namespace attest {

/// The pairs or triples of axis values that the generator (covering.h) still has to cover: those
/// that some valid row holds, less the closed ones. Values of all axes are numbered through.
class TupleTable {
 public:
  /// strength: 2 for pairs, 3 for triples.
  TupleTable(const Space&, const Solver&, int strength);

  int strength() const { return strength_; }
  bool all_closed() const { return tuples_ == 0; }

  /// Number of open tuples that value `value` of `axis` makes with the decided axes of a row.
  int gain(const Assignment& row, std::size_t axis, int value) const;

  /// Number of open tuples of a row without free axes.
  int gain(const Assignment& row) const;

  /// Closes the tuples of a row without free axes.
  void close(const Assignment& row) { set_all(row, 0); }

  /// Number of open tuples of a value.
  int open_tuples(std::size_t axis, int value) const { return open_of_[id(axis, value)]; }

  /// True if an open tuple holds the value and the decided axes of a row, fewer than strength().
  bool leads_to_open(const Assignment& row, std::size_t axis, int value) const;

 private:
  std::size_t id(std::size_t axis, int value) const {
    return static_cast<std::size_t>(first_[axis] + value);
  }
  std::vector<std::size_t> decided(const Assignment& row) const;
  int& pair(std::size_t x, std::size_t y) { return open_with_[x * count_ + y]; }
  int pair(std::size_t x, std::size_t y) const { return open_with_[x * count_ + y]; }
  char triple(std::size_t x, std::size_t y, std::size_t z) const {
    return open_[(x * count_ + y) * count_ + z];
  }

  void open_if_feasible(const Space&, const Solver&, Assignment tuple);
  void set_all(const Assignment& row, char open);
  void set(std::size_t x, std::size_t y, char open);
  void set(std::size_t x, std::size_t y, std::size_t z, char open);

  int strength_;
  std::size_t count_ = 0;       // values of all axes
  std::vector<int> first_;      // number of the first value of each axis
  std::vector<char> open_;      // [values, values, values], symmetric; of triples only
  std::vector<int> open_with_;  // [values, values], symmetric: open tuples that hold both
  std::vector<int> open_of_;    // [values]: open tuples that hold it
  int tuples_ = 0;
};

}  // namespace attest
