#include "harness/layer_inputs.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <vector>

#include "cases/error.h"
#include "cases/stages.h"
#include "harness/fills.h"
#include "harness/inputs.h"
#include "harness/rounding.h"
#include "harness/score_inputs.h"

namespace attest {
namespace {

/// Fills rows of the last axis; threads share the rows, never a row. row(n, values): what row n
/// holds.
void draw_rows(Tensor& tensor, const std::function<void(Index, std::span<double>)>& row) {
  const Index width = tensor.shape().back(), rows = width > 0 ? tensor.size() / width : 0;
  const Index row_bytes = width * static_cast<Index>(size_of(tensor.dtype()));
  std::byte* const data = tensor.bytes().data();
#pragma omp parallel if (tensor.size() >= 1 << 14)
  {
    std::vector<double> values(static_cast<std::size_t>(width));
#pragma omp for schedule(static)
    for (Index n = 0; n < rows; ++n) {
      row(n, values);
      encode(tensor.dtype(), values, data + n * row_bytes);
    }
  }
}

/// Power of two next to 1 / sqrt(columns).
double matrix_scale(Index columns) {
  double scale = 1;
  for (Index square = 4; square <= 2 * columns; square *= 4) scale /= 2;
  return scale;
}

bool ends_with_norm(const std::string& name) { return name.ends_with("_norm"); }

void draw_weight(Tensor& tensor, const Problem& p) {
  const Stream stream(p.seed, tensor.name());
  const bool matrix = tensor.shape().size() == 2;
  const bool gain = ends_with_norm(tensor.name()) && tensor.name().front() == 'w';
  const double mean = gain && p.layer.norm != Norm::rms_zero_centered ? 1 : 0;
  const double scale = matrix                          ? matrix_scale(tensor.shape()[1])
                       : ends_with_norm(tensor.name()) ? 0.125
                                                       : 0.25;
  draw_rows(tensor, [&](Index n, std::span<double> out) {
    for (std::size_t d = 0; d < out.size(); ++d)
      out[d] = mean + scale * stream.at(0, n, 0, static_cast<Index>(d)).normal();
  });
}

void draw_x(Tensor& x, const Problem& p) {
  const Streams streams(p.seed);
  const Stream own(p.seed, "x");
  draw_rows(x, [&](Index n, std::span<double> out) {
    recipe(p.fill).k({p, streams, own, n / p.Sq, n % p.Sq, 0}, out);
  });
}

/// [B, Sk, ...], of which the rows of earlier tokens are drawn.
Tensor draw_cache(const TensorSpec& spec, const Problem& p) {
  std::vector<Index> shape = spec.shape;
  shape[0] = p.B;
  shape[1] = p.Sk;
  std::string layout = spec.layout;
  layout[0] = 'B';
  Tensor cache(spec.name, spec.dtype, layout, shape);
  const Stream stream(p.seed, spec.name);
  const Index heads = shape.size() == 4 ? shape[2] : 1, width = shape.back();
  const Index row_bytes = width * static_cast<Index>(size_of(spec.dtype));
  std::vector<double> values(static_cast<std::size_t>(width));
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < cached_tokens(p, b); ++j)
      for (Index h = 0; h < heads; ++h) {
        for (Index d = 0; d < width; ++d)
          values[static_cast<std::size_t>(d)] = stream.at(b, j, h, d).normal();
        encode(spec.dtype, values, cache.bytes().data() + ((b * p.Sk + j) * heads + h) * row_bytes);
      }
  return cache;
}

}  // namespace

TensorSet make_layer_inputs(const Problem& p) {
  validate(p);
  TensorSet inputs;
  for (const TensorSpec& spec : layer_weights(p)) {
    if (spec.name == "sinks") {
      inputs.add(draw_sinks(p));
      continue;
    }
    Tensor& tensor = inputs.add(make_tensor(spec));
    spec.name == "x" ? draw_x(tensor, p) : draw_weight(tensor, p);
  }
  TensorSet caches;
  for (const TensorSpec& spec : layer_caches(p))
    if (spec.name != "block_table") caches.add(draw_cache(spec, p));
  for (const Tensor& each : place(p, caches)) inputs.add(each);
  return inputs;
}

TensorSet empty_layer_outputs(const Problem& p, const TensorSet& inputs) {
  TensorSet outputs;
  for (const TensorSpec& spec : layer_outputs(p)) {
    Tensor& tensor = outputs.add(make_tensor(spec));
    if (const Tensor* before = inputs.find(spec.name))
      std::memcpy(tensor.bytes().data(), before->bytes().data(), tensor.bytes().size());
  }
  return outputs;
}

}  // namespace attest
