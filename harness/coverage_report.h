#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cases/case.h"
#include "cases/matrix.h"

namespace attest {

/// What is special in each of some cases, and how often two such things meet. A feature is a key of
/// a case string with its value, such as `mask=causal` (a rope by its kind), or the key alone, such
/// as `page`, where its values are numbers or many. A key that is not printed, for it has its
/// default, is none, and sizes and the seed are none. Nothing here knows the keys: a new one shows
/// by itself.
struct FeatureTable {
  std::vector<std::string> names;               ///< `gqa`, `kernel=decode`, `page`
  std::vector<std::size_t> key_of;              ///< [features], index in keys
  std::vector<std::string> keys;                ///< `variant`, `kernel`, `page`
  std::vector<std::vector<std::size_t>> count;  ///< [features][features]: cases with both
  std::size_t cases = 0;
};

FeatureTable feature_table(std::span<const Case>);

/// A line for each feature, with a column for each key that some cases have and others do not,
/// below each other where they are many; then the features that never meet.
std::string print(const FeatureTable&);

/// A line for each block: how many pairs and triples of its axes' values the cases cover, how many
/// the exclusions rule out everywhere, how many are missing; what its `coverage` does not promise
/// in parentheses. Then what is missing by name, ten of each block, and the line `N missing`: of
/// what is promised.
struct CoverageText {
  std::string text;
  std::size_t missing = 0;
};
CoverageText coverage_text(std::span<const Block>, std::span<const Case>);

}  // namespace attest
