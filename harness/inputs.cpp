#include "harness/inputs.h"

#include <vector>

#include "harness/fills.h"
#include "harness/rounding.h"

namespace attest {
namespace {

constexpr Index kParallelSize = 1 << 14;  // elements that are worth waking threads for

/// Fills a tensor [B, S, heads, width], or [B, S, width] of one head, row by row; threads share the
/// rows, never a row.
void draw(Tensor& tensor, const Problem& problem, const Streams& streams, const Stream& own,
          RowRecipe recipe) {
  const bool one_head = tensor.shape().size() == 3;
  const Index S = tensor.shape()[1], heads = one_head ? 1 : tensor.shape()[2];
  const Index width = tensor.shape().back();
  const Index rows = tensor.shape()[0] * S * heads;
  const Index row_bytes = width * static_cast<Index>(size_of(tensor.dtype()));
  std::byte* const data = tensor.bytes().data();
#pragma omp parallel if (tensor.size() >= kParallelSize)
  {
    std::vector<double> values(static_cast<std::size_t>(width));
#pragma omp for schedule(static)
    for (Index n = 0; n < rows; ++n) {
      recipe({problem, streams, own, n / heads / S, n / heads % S, n % heads}, values);
      encode(tensor.dtype(), values, data + n * row_bytes);
    }
  }
}

}  // namespace

std::vector<std::string> input_names(const Problem& p) {
  if (p.form == Form::absorbed) return {"q", "latent_cache"};
  return {"q", "k", "v"};
}

TensorSet make_inputs(const Problem& p) {
  validate(p);
  const Streams streams(p.seed);
  const Recipe& fill = recipe(p.fill);
  TensorSet inputs;
  draw(inputs.add(Tensor("q", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.D})), p, streams, streams.q,
       fill.q);
  if (p.form == Form::absorbed) {
    Tensor& latent = inputs.add(Tensor("latent_cache", p.dtype, "BSC", {p.B, p.Sk, p.D}));
    draw(latent, p, streams, streams.k, fill.k);
    return inputs;
  }
  draw(inputs.add(Tensor("k", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.D})), p, streams, streams.k,
       fill.k);
  draw(inputs.add(Tensor("v", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.Dv})), p, streams, streams.v,
       fill.v);
  return inputs;
}

}  // namespace attest
