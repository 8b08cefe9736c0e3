// What the judge says of simulated kernels, healthy and defective.
#include <algorithm>

#include "tests/catch.h"
#include "tests/harness/judged_run.h"

using namespace judged;

namespace {

Check check_of(const std::string& text, Defect defect, Index splits = 1) {
  CAPTURE(text);
  const Judgement j = Run(text, defect, splits).judged();
  CHECK(j.verdict == Verdict::fail);
  return j.check;
}

/// Runs healthy kernels of every type over every fill; `each` looks at what is judged.
template <class Each>
void for_healthy_kernels(const std::string& shape, Each each) {
  for (const FillInfo& fill : fills())
    for (const char* dtype : {"bf16", "fp16", "fp32"})
      for (const Index splits : {1, 3})
        for (const bool wide_o : {false, true}) {
          const Problem p = parse_problem(concat(shape, " dtype=", dtype, " fill=", fill.name));
          if (wide_o && p.dtype == Dtype::fp32) continue;
          const TensorSet inputs = make_inputs(p);
          simulated::Options options = simulated::options_for(p);
          options.splits = splits;
          if (wide_o) options.o_type = Dtype::fp32;
          const Descriptor descriptor = simulated::descriptor_of(p, options);
          CAPTURE(print(p), splits, wide_o);
          each(judge(p, simulated::truth_of(p, inputs), descriptor,
                     simulated::run(p, inputs, options)));
        }
}

}  // namespace

TEST_CASE("healthy kernels pass every fill, and come close enough to the bound to mean something") {
  for (const char* shape :
       {"mha B=1 Sq=24 Sk=40 H=2 D=64 mask=causal", "gqa B=2 Sq=5 Sk=65 H=4 G=2 D=32",
        "mqa B=1 Sq=1 Sk=200 H=8 D=64", "mha B=1 Sq=40 Sk=3 H=2 D=96",
        "mha B=1 Sq=9 Sk=4 H=2 D=32 mask=causal", "mha B=1 Sq=1 Sk=1 H=1 D=16"}) {
    double largest = 0;
    for_healthy_kernels(shape, [&](const Judgement& j) {
      CAPTURE(j.message);
      CHECK(j.verdict == Verdict::pass);
      CHECK(j.metrics.hard_ratio < 1);
      CHECK(j.metrics.lse_ratio < 1);
      largest = std::max(largest, j.metrics.hard_ratio);
    });
    if (parse_problem(concat(shape, " dtype=bf16")).Sk > 1) CHECK(largest > 0.5);
  }
}

TEST_CASE("rho of healthy kernels is near 1 where the roundings of p and o dominate") {
  for (const char* fill : {"normal", "um11", "flat", "onehot"}) {
    const Metrics m = Run(with_fill(fill)).judged().metrics;
    CAPTURE(fill);
    CHECK(m.rho > 0.85);
    CHECK(m.rho < 1.15);
  }
}

TEST_CASE("truncating p leans the errors") {
  CHECK(check_of(with_fill("normal"), Defect::p_truncated) == Check::rho);
  CHECK(check_of(with_fill("flat"), Defect::p_truncated) == Check::bias);
  CHECK(check_of(with_fill("onehot"), Defect::p_truncated) == Check::hard_bound);
}

TEST_CASE("errors of the exponential and the row sum show in lse alone") {
  CHECK(check_of(with_fill("normal"), Defect::l_too_large) == Check::lse_bound);
  CHECK(check_of(with_fill("normal"), Defect::exp_slope) == Check::lse_bound);
  CHECK(check_of(with_fill("peaked"), Defect::exp_slope) == Check::lse_stat);
}

TEST_CASE("a row sum of rounded p fails unless the descriptor declares it") {
  Run run(with_fill("normal"), Defect::l_from_rounded_p);
  CHECK(run.judged().check == Check::lse_bound);
  run.descriptor.l_from_rounded_p = true;
  CHECK(run.judged().verdict == Verdict::pass);
}

TEST_CASE(
    "a dropped key, a missed rescale and a plain average break the hard bound on most fills") {
  for (const char* fill : {"normal", "peaked", "bigneg", "ascend", "onehot", "outlier"}) {
    CHECK(check_of(with_fill(fill), Defect::drop_last_key) == Check::hard_bound);
    CHECK(check_of(with_fill(fill), Defect::no_rescale) == Check::hard_bound);
    CHECK(check_of(with_fill(fill), Defect::plain_average, 3) == Check::hard_bound);
  }
}

TEST_CASE("independent roundings do not explain what the hard bound lets pass") {
  CHECK(check_of(with_fill("flat"), Defect::no_rescale) == Check::stat_bound);
}

TEST_CASE("a bf16 accumulator exceeds the variance of the declared roundings") {
  CHECK(check_of(with_fill("normal"), Defect::bf16_accumulator) == Check::rho);
  CHECK(check_of(with_fill("outlier"), Defect::bf16_accumulator) == Check::hard_bound);
}

TEST_CASE("a running maximum that starts at 0 is seen where all scores are far below") {
  CHECK(check_of(with_fill("bigneg"), Defect::unshifted) == Check::nonfinite);
}
