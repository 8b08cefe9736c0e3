#include "reference/blocks.h"

#include <omp.h>

#include <limits>

#include "reference/mask.h"

namespace attest::reference::ATTEST_ISA {
namespace {

// Whole cache lines, so that a row starts at the same place in a vector whichever thread computes
// it; one line more, so that rows a power of two apart do not fall into the same cache sets.
Index padded(Index keys) { return (keys + 7) / 8 * 8 + 8; }

}  // namespace

// First, second and third level, bytes.
void fix_cache_sizes() { Eigen::setCpuCacheSizes(32 << 10, 1 << 20, 8 << 20); }

Rows rows_from(const Task& t, Index b, Index h, Index first) {
  Rows rows;
  rows.b = b;
  rows.h = h;
  rows.first = first;
  rows.count = t.Sq - first < kBlockRows ? t.Sq - first : kBlockRows;
  rows.keys = visible_keys(t.mask, t.window, t.Sq, t.lens[b], first + rows.count - 1).end;
  rows.sink = t.sinks ? t.sinks[h] : -std::numeric_limits<double>::infinity();
  return rows;
}

Index keys_in_use(const Task& t, Index b) {
  return visible_keys(t.mask, t.window, t.Sq, t.lens[b], t.Sq - 1).end;
}

MatrixMap elements_of(double* result, const Task& t, const Rows& rows) {
  double* first = result + ((rows.b * t.Sq + rows.first) * t.H + rows.h) * t.Dv;
  return MatrixMap(first, rows.count, t.Dv, Eigen::OuterStride<>(t.H * t.Dv));
}

double* row_values_of(double* result, const Task& t, const Rows& rows) {
  return result + (rows.b * t.H + rows.h) * t.Sq + rows.first;
}

Scratch::Scratch(const Task& t) : rows_(t.Sq < kBlockRows ? t.Sq : kBlockRows) {
  Index keys = 0;
  for (Index b = 0; b < t.B; ++b)
    if (const Index of_entry = keys_in_use(t, b); of_entry > keys) keys = of_entry;
  const Index threads = omp_get_max_threads(), columns = padded(keys);
  s_.resize(threads * rows_, columns);
  p_.resize(threads * rows_, columns);
}

MatrixRef Scratch::s(const Rows& rows) {
  return s_.block(omp_get_thread_num() * rows_, 0, rows.count, rows.keys);
}

MatrixRef Scratch::p(const Rows& rows) {
  return p_.block(omp_get_thread_num() * rows_, 0, rows.count, rows.keys);
}

}  // namespace attest::reference::ATTEST_ISA
