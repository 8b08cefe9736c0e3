// Inputs made so that all roundings inside an mma go one way: q = k = factor (1, 2^-12, 2^-12,
// ...). Added to the first product one by one, each other one is half a unit in the last place.
#include "cases/error.h"
#include "cuda/kernel.h"
#include "harness/judge.h"
#include "harness/rounding.h"
#include "harness/run_case.h"
#include "reference/reference.h"
#include "tests/catch.h"

using namespace attest;

namespace {

void fill_rows(Tensor& tensor, double factor) {
  const Index width = tensor.shape().back();
  const auto bits = tensor.as<std::uint16_t>();
  for (std::size_t n = 0; n < bits.size(); ++n)
    encode(tensor.dtype(), static_cast<Index>(n) % width == 0 ? factor : factor * 0x1p-12,
           reinterpret_cast<std::byte*>(&bits[n]));
}

}  // namespace

TEST_CASE("the hard bound holds where every rounding inside an mma goes the same way") {
  const auto [width, factor] = GENERATE(table<Index, double>({{64, 16.0}, {128, 64.0}}));
  const auto* name = GENERATE("prefill", "decode");
  // A coherent fill: nobody claims independent roundings.
  const Problem p =
      parse_problem(concat("mha B=1 Sq=2 Sk=16 H=1 D=", width, " dtype=bf16 fill=twolevel"));
  Question question = pose(p);
  fill_rows(question.inputs.at("q"), factor);
  fill_rows(question.inputs.at("k"), factor);
  question.truth = reference::attend(p, question.inputs, reference::Emit::outputs_and_conditioning);
  const Kernel& kernel = find_kernel(name, Backend::emu);
  TensorSet outputs = empty_outputs(p);
  kernel.run(p, {}, question.inputs, outputs);
  const Judgement j = judge(p, question.truth, kernel.descriptor(p, 1), outputs);
  CAPTURE(name, width, j.message);
  CHECK(j.verdict == Verdict::pass);
  CHECK(j.metrics.lse_ratio > 0.3);       // it is near the bound,
  CHECK(j.metrics.lse_stat_ratio > 2.0);  // and far beyond what independent roundings do
}
