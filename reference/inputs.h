#pragma once

#include "reference/blocks.h"

namespace attest::reference::ATTEST_ISA {

/// One batch entry of the inputs in fp64, head after head, scaled where they have scales, without
/// the keys that no query sees.
class Inputs {
 public:
  explicit Inputs(const Task&);

  /// Reads batch entry b. Throws attest::Error for a value that is not finite.
  void read(Index b);

  Index batch() const { return b_; }  ///< that was read last

  ConstMatrixRef q(const Rows&) const;          ///< [count, D], of query head rows.h
  ConstMatrixRef k(Index g, Index keys) const;  ///< keys 0 .. keys - 1: [keys, D]
  ConstMatrixRef v(Index g, Index keys) const;  ///< their values: [keys, Dv]

 private:
  const Task& t_;
  Index b_ = 0, keys_ = 0;  // batch entry, and its keys in use
  Matrix q_, k_, v_;        // [H * Sq, D] [G * keys_, D] [G * keys_, Dv]
};

}  // namespace attest::reference::ATTEST_ISA
