#pragma once

#include <vector>

#include "cases/space.h"

namespace attest {

/// Every valid row, in lexicographic order. Throws attest::Error beyond a million.
std::vector<Assignment> product(const Space&);

/// Valid rows that contain every pair of values of two axes that some valid row contains; close to
/// as few as possible, and the same rows on every machine. Empty if no row is valid.
///
/// The smallest of a few arrays, made one row at a time, each the best of several greedy
/// candidates, as in AETG (Cohen, Dalal, Fredman and Patton, "The AETG System", IEEE Transactions
/// on Software Engineering 23(7), 1997). Whether a pair can occur at all, and whether a half-built
/// row can be finished, is decided by a complete search: the price is time that may grow
/// exponentially for contrived constraints, never a lost pair. With one axis: its valid values.
std::vector<Assignment> pairwise(const Space&);

/// The same for values of three axes: the rows of pairwise(), then those that it takes besides.
/// With fewer than three axes: every valid row.
std::vector<Assignment> triplewise(const Space&);

}  // namespace attest
