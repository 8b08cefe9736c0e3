#pragma once

#include <cmath>

#include "cases/descriptor.h"

namespace attest {

/// Every constant that decides a verdict; the numbers in brackets are items of TOLERANCE.md. What
/// depends on the kernel comes from its descriptor, not from here.

/// Standard deviations that a sum of independent roundings may reach. [S1]
constexpr double kLambda = 6;

/// Share of the worst-case bound that a typical error reaches, where no variance is known. [R1]
constexpr double kTypicalSoftmax = 1.0 / 3, kTypicalSum = 0.3;

/// Largest rho of a tensor with `rows` rows. [R2]
inline double rho_limit(Index rows) {
  return std::fmax(1.25, 1 + 6 / std::sqrt(2 * std::fmax(1, static_cast<double>(rows))));
}

/// Largest rho of one row of `width` elements. Roundings of p are shared by a row: one reaches
/// sqrt(3), two whose values are opposite sqrt(6). [R3]
inline double rho_row_limit(Index width) {
  return std::fmax(2.5, 1.25 + 8 / std::sqrt(2 * static_cast<double>(width)));
}

/// Largest bias in standard errors, asked only of tensors with this many rows. [R4]
constexpr double kBiasLimit = 6;
constexpr Index kBiasRows = 32;

/// Rows take part in the bias if sum p exceeds 1 by this many unit roundoffs of o: below, o lies
/// next to the value of one key, which is a number of o's type, and rounds towards it. [R4]
constexpr double kBiasSpread = 16;

/// Largest sum error^2 / sum (sum P |v|)^2. [N]
double nmse_limit(const Descriptor&);

}  // namespace attest
