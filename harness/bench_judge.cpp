#include <fmt/format.h>

#include "cuda/kernel.h"
#include "harness/bench.h"
#include "harness/rounding.h"
#include "harness/run_case.h"

namespace attest {
namespace {

/// Outputs that a perfect kernel would store: the truth, rounded.
TensorSet rounded_truth(const Question& question) {
  TensorSet outputs = empty_outputs(question.problem);
  for (const char* name : {"o", "lse"}) {
    Tensor& out = outputs.at(name);
    const auto truth = question.truth.outputs.at(name).as<double>();
    for (Index n = 0; n < out.size(); ++n)
      encode(out.dtype(), truth[static_cast<std::size_t>(n)],
             out.bytes().data() + static_cast<std::size_t>(n) * size_of(out.dtype()));
  }
  return outputs;
}

}  // namespace

void bench_judge() {
  const Problem problem = parse_problem("mha B=2 Sq=1024 Sk=64 H=32 D=128 dtype=bf16 seed=1");
  const Question question = pose(problem);
  const TensorSet outputs = rounded_truth(question);
  const Kernel& kernel = find_kernel("prefill", Backend::emu);
  const Descriptor descriptor = kernel.descriptor(problem, 1);
  const double seconds =
      median_seconds("judge", [&] { judge(problem, question.truth, descriptor, outputs); });
  double bytes = 0;
  for (const Tensor& tensor : outputs) bytes += static_cast<double>(tensor.bytes().size());
  for (const Tensor& tensor : question.truth.outputs)
    bytes += static_cast<double>(tensor.bytes().size());
  print_row("comparison and metrics", fmt::format("{:.2f} GB/s", bytes / seconds * 1e-9),
            fmt::format("of outputs, got and want ({:.0f} MiB)", bytes / (1 << 20)));
}

}  // namespace attest
