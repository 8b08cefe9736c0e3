#include "cases/layer_work.h"

#include <functional>
#include <numeric>

#include "cases/stages.h"

namespace attest {
namespace {

/// Product of the extents from axis `first` on.
double extent(const TensorSpec& spec, std::ptrdiff_t first = 0) {
  return std::accumulate(spec.shape.begin() + first, spec.shape.end(), 1.0, std::multiplies<>());
}

double cached_rows(const Problem& p) {
  double rows = 0;
  for (Index b = 0; b < p.B; ++b) rows += static_cast<double>(p.length(b));
  return rows;
}

}  // namespace

LayerWork layer_work(const Problem& p) {
  const double width = static_cast<double>(size_of(p.dtype));
  const double new_rows = static_cast<double>(p.B * p.Sq), rows = cached_rows(p);
  LayerWork work{.flops = core_of(p).flops(), .bytes = 0};
  for (const TensorSpec& weight : layer_weights(p)) {
    work.bytes += width * extent(weight);
    if (weight.shape.size() != 2) continue;  // x, biases, weights of norms
    const bool of_cache = weight.name == "w_ukv" && p.form == Form::expanded;
    work.flops += 2 * (of_cache ? rows : new_rows) * extent(weight);
  }
  work.bytes += width * extent(layer_outputs(p).back());  // y
  for (const TensorSpec& cache : layer_caches(p))
    if (cache.name != "block_table") work.bytes += width * rows * extent(cache, 2);
  return work;
}

}  // namespace attest
