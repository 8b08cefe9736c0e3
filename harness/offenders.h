#pragma once

#include <string>
#include <vector>

#include "harness/compare.h"
#include "harness/judge.h"

namespace attest {

/// What one check refuses, gathered in a second pass that only failing cases pay for.
struct Offenders {
  std::vector<Element> worst;  ///< up to 8, worst error / bound first
  Index failing = 0, total = 0;
  std::string hint;  ///< what the places have in common: "only head h=3", "every element of o; none
                     ///< of lse"; or empty
};

/// Finds the elements that an element-wise check (nonfinite to stat_bound) refuses.
Offenders find_offenders(const Problem&, const Truth&, const Descriptor&, const TensorSet& outputs,
                         bool exact, Check);

/// The elements of a list, read again.
std::vector<Element> read_elements(const Problem&, const Truth&, const Descriptor&,
                                   const TensorSet& outputs, const std::vector<Offender>&);

}  // namespace attest
