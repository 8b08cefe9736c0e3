#include "reference/layer_stages.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "cases/error.h"
#include "reference/pages.h"
#include "reference/rope.h"

namespace attest::reference {
namespace {

double* zeros(TensorSet& set, std::string name, std::string layout, std::vector<Index> shape) {
  Tensor tensor(std::move(name), Dtype::fp64, std::move(layout), std::move(shape));
  std::ranges::fill(tensor.as<double>(), 0.0);
  return set.add(std::move(tensor)).as<double>().data();
}

// |a cos| + |b sin| and |b cos| + |a sin| for magnitudes a and b, in the order of rotate(): turning
// with |cos| and |sin| makes the second sum, turning backwards the first; the larger ones are both.
void turn_magnitudes(RopeTable table, Index heads, Index D, double* m) {
  for (double& cos : table.cos) cos = std::abs(cos);
  for (double& sin : table.sin) sin = std::abs(sin);
  std::vector<double> backwards(m, m + (heads - 1) * D + table.Dr);
  rotate(table, heads, D, m);
  for (double& sin : table.sin) sin = -sin;
  rotate(table, heads, D, backwards.data());
  for (Index h = 0; h < heads; ++h)
    for (Index r = h * D; r < h * D + table.Dr; ++r)
      m[r] = std::max(m[r], backwards[static_cast<std::size_t>(r)]);
}

}  // namespace

Output add_output(Truth& truth, Emit emit, std::string name, std::string layout,
                  std::vector<Index> shape) {
  Output output{zeros(truth.outputs, name, layout, shape), nullptr};
  if (emit == Emit::outputs_and_conditioning)
    output.magnitude = zeros(truth.conditioning, name, layout, shape);
  return output;
}

std::vector<double> values(const Tensor& x) {
  std::vector<double> result(static_cast<std::size_t>(x.size()));
  decode(x.dtype(), x.bytes().data(), x.size(), 1, result.data());
  const bool finite = std::ranges::all_of(result, [](double y) { return std::isfinite(y); });
  ATTEST_CHECK(finite, "reference: tensors of a layer must be finite, got an infinity or NaN in ",
               x.name());
  return result;
}

Tensor rows_in_use(const Problem& p, const Tensor& cache, const Tensor* block_table,
                   Index missing) {
  if (block_table)
    return rows_in_use(p, gather_pages(cache.name(), cache, *block_table, p), nullptr, missing);
  Tensor rows(cache.name(), cache.dtype(), cache.layout(), cache.shape());
  std::memset(rows.bytes().data(), 0, rows.bytes().size());
  const std::size_t entry = rows.bytes().size() / static_cast<std::size_t>(p.B);  // bytes
  const std::size_t row = entry / static_cast<std::size_t>(p.Sk);
  for (Index b = 0; b < p.B; ++b)
    std::memcpy(rows.bytes().data() + static_cast<std::size_t>(b) * entry,
                cache.bytes().data() + static_cast<std::size_t>(b) * entry,
                static_cast<std::size_t>(p.length(b) - missing) * row);
  return rows;
}

Tensor cached_rows(const StageInputs& s, const TensorSet& from, std::string_view name,
                   Index missing) {
  const Tensor* block_table = s.p.page > 0 ? &s.inputs.at("block_table") : nullptr;
  return rows_in_use(s.p, from.at(name), block_table, missing);
}

void turn(const Problem& p, Index width, Index heads, Index stride, bool normed, Output x) {
#pragma omp parallel for collapse(2) schedule(static)
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i) {
      const RopeTable table = rope_table(p.rope, width, std::array{p.position(b, i)});
      const Output token = x.from((b * p.Sq + i) * heads * stride);  // [heads, stride]
      for (Index h = 0; x.magnitude && !normed && h < heads; ++h)
        for (Index r = h * stride; r < h * stride + table.Dr; ++r)
          token.magnitude[r] = std::abs(token.y[r]);
      rotate(table, heads, stride, token.y);
      if (x.magnitude) turn_magnitudes(table, heads, stride, token.magnitude);
    }
}

}  // namespace attest::reference
