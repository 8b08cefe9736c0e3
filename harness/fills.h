#pragma once

#include <span>

#include "cases/problem.h"
#include "harness/philox.h"

namespace attest {

/// The random streams of a problem's tensors.
struct Streams {
  explicit Streams(std::uint64_t seed) : q(seed, "q"), k(seed, "k"), v(seed, "v") {}
  Stream q, k, v;
};

/// One row of q, k or v while it is drawn: batch b, position s (query or key), head h (of q, or the
/// key/value head). `own` is the stream of the row's tensor.
struct Row {
  const Problem& problem;
  const Streams& streams;
  const Stream& own;
  Index b, s, h;

  Draw at(Index d) const { return own.at(b, s, h, d); }
};

/// Computes a row, before rounding: one value a channel.
using RowRecipe = void (*)(const Row&, std::span<double> out);

struct Recipe {
  Fill fill;
  RowRecipe q, k, v;
};

/// How a fill makes its tensors.
const Recipe& recipe(Fill);

/// The row of q and k of fill needle (fills_needle.cpp).
void needle_q(const Row&, std::span<double> out);
void needle_k(const Row&, std::span<double> out);
void needle_v(const Row&, std::span<double> out);

}  // namespace attest
