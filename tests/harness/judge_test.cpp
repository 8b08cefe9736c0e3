#include "harness/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cases/error.h"
#include "harness/inputs.h"
#include "tests/catch.h"
#include "tests/harness/simulated_kernel.h"
#include "tests/harness/truth_by_hand.h"

using namespace attest;
using simulated::Defect;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A problem with its truth and the outputs of a simulated kernel, which a test may then damage.
struct Run {
  Problem problem;
  Truth truth;
  Descriptor descriptor;
  TensorSet outputs;

  Run(const std::string& text, Defect defect = Defect::none, Index splits = 1)
      : problem(parse_problem(text)) {
    const TensorSet inputs = make_inputs(problem);
    simulated::Options options = simulated::options_for(problem);
    options.defect = defect;
    options.splits = splits;
    truth = simulated::truth_of(problem, inputs);
    descriptor = simulated::descriptor_of(problem, options);
    outputs = simulated::run(problem, inputs, options);
  }

  Judgement judged() const { return judge(problem, truth, descriptor, outputs); }

  Index at(Index b, Index i, Index h, Index d) const {
    const Problem& p = problem;
    return ((b * p.Sq + i) * p.H + h) * p.Dv + d;
  }
  double o(Index n) const { return outputs.at("o").value(n); }
  void set_o(Index n, double value) { by_hand::poke(outputs.at("o"), n, value); }
};

const std::string kCausal = "mha B=1 Sq=48 Sk=160 H=4 D=64 mask=causal dtype=bf16 seed=3";

std::string with_fill(std::string_view fill) { return concat(kCausal, " fill=", fill); }

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

TEST_CASE("needle demands equality") {
  CHECK(Run(with_fill("needle")).judged().verdict == Verdict::pass);
  Run run(with_fill("needle"));
  const Index n = run.at(0, 5, 1, 7);
  run.set_o(n, run.o(n) * (1 + 0x1p-7));
  const Judgement j = run.judged();
  CHECK(j.check == Check::exact);
  CHECK(j.failing == 1);
  REQUIRE(j.worst.size() == 1);
  CHECK(j.worst[0].index == std::vector<Index>{0, 5, 1, 7});
}

TEST_CASE("one damaged element is found and named in every corner") {
  const std::string text = "gqa B=2 Sq=3 Sk=50 H=4 G=2 D=64 dtype=bf16 seed=2";
  const Run healthy(text);
  REQUIRE(healthy.judged().verdict == Verdict::pass);
  for (const Index b : {0, 1})
    for (const Index i : {0, 2})
      for (const Index h : {0, 3})
        for (const Index d : {0, 63})
          for (const double value : {0.0, 30.0, kNan, kInfinity, -kInfinity}) {
            Run run(healthy);
            // Copies of a tensor share its bytes: damage another one.
            TensorSet fresh;
            for (const Tensor& tensor : healthy.outputs) {
              Tensor& copy =
                  fresh.add(Tensor(tensor.name(), tensor.dtype(), tensor.layout(), tensor.shape()));
              std::copy(tensor.bytes().begin(), tensor.bytes().end(), copy.bytes().begin());
            }
            run.outputs = fresh;
            const Index n = run.at(b, i, h, d);
            run.set_o(n, value == 0 ? run.o(n) + 0.05 : value);
            const Judgement j = run.judged();
            CAPTURE(b, i, h, d, value, j.message);
            CHECK(j.verdict == Verdict::fail);
            CHECK(j.check == (std::isfinite(value) ? Check::hard_bound : Check::nonfinite));
            CHECK(j.failing == 1);
            REQUIRE(!j.worst.empty());
            CHECK(j.worst[0].index == std::vector<Index>{b, i, h, d});
            const std::string place = concat("o[b=", b, ",i=", i, ",h=", h, ",d=", d, "] got ");
            CHECK(j.message.rfind(place, 0) == 0);
            CHECK((j.message.find("read before it was written") != std::string::npos) ==
                  std::isnan(value));
          }
}

TEST_CASE("an element off by 2 percent, a zero and two swapped rows break the hard bound") {
  Run run(with_fill("peaked"));
  Index largest = 0;
  for (Index n = 0; n < run.outputs.at("o").size(); ++n)
    if (std::abs(run.o(n)) > std::abs(run.o(largest))) largest = n;
  const double value = run.o(largest);
  run.set_o(largest, value * 1.02);
  CHECK(run.judged().check == Check::hard_bound);
  run.set_o(largest, 0);
  CHECK(run.judged().check == Check::hard_bound);
  run.set_o(largest, value);
  REQUIRE(run.judged().verdict == Verdict::pass);

  for (Index d = 0; d < run.problem.Dv; ++d) {
    const Index first = run.at(0, 10, 0, d), second = run.at(0, 11, 0, d);
    const double kept = run.o(first);
    run.set_o(first, run.o(second));
    run.set_o(second, kept);
  }
  const Judgement j = run.judged();
  CHECK(j.check == Check::hard_bound);
  CHECK(j.message.find("only rows i=10..11, head h=0") != std::string::npos);
}

TEST_CASE("the message says what failing elements have in common") {
  Run run(kCausal);
  for (Index i = 0; i < run.problem.Sq; ++i)
    for (Index d = 0; d < run.problem.Dv; ++d) run.set_o(run.at(0, i, 3, d), 7);
  CHECK(run.judged().message.find("; only head h=3") != std::string::npos);

  Run shifted(kCausal);
  for (float& lse : shifted.outputs.at("lse").as<float>()) lse += 1;
  const Judgement j = shifted.judged();
  CHECK(j.check == Check::lse_bound);
  CHECK(j.failing == 48 * 4);
  CHECK(j.message.find("every element; o is within its bound") != std::string::npos);
}

TEST_CASE("an lse that is wrong in one row is named by batch, head and row") {
  Run run("mha B=2 Sq=3 Sk=20 H=2 D=16 dtype=bf16");
  run.outputs.at("lse").as<float>()[11] += 0.01F;  // the last one
  const Judgement j = run.judged();
  CHECK(j.check == Check::lse_bound);
  CHECK(j.message.rfind("lse[b=1,h=1,i=2] got ", 0) == 0);
  run.outputs.at("lse").as<float>()[11] = static_cast<float>(kNan);
  CHECK(run.judged().check == Check::nonfinite);
}

TEST_CASE("rows that see no key are judged exactly, and alone count as trusted") {
  const std::string text = "mha B=1 Sq=9 Sk=4 H=2 D=32 dtype=bf16 mask=causal";
  Run run(text);
  REQUIRE(run.judged().verdict == Verdict::pass);
  run.set_o(run.at(0, 4, 1, 31), 1e-20);
  CHECK(run.judged().check == Check::exact);
  run.set_o(run.at(0, 4, 1, 31), kNan);
  CHECK(run.judged().check == Check::nonfinite);

  Run empty("mha B=1 Sq=3 Sk=0 H=2 D=32 dtype=bf16");
  CHECK(empty.judged().verdict == Verdict::pass);
  empty.outputs.at("lse").as<float>()[0] = -30000;
  CHECK(empty.judged().check == Check::exact);
}

TEST_CASE("outputs that nobody wrote fail") {
  Run run("mha B=1 Sq=3 Sk=8 H=2 D=32 dtype=bf16");
  TensorSet untouched;
  untouched.add(Tensor("o", Dtype::bf16, "BSHD", {1, 3, 2, 32}));
  untouched.add(Tensor("lse", Dtype::fp32, "BHS", {1, 2, 3}));
  const Judgement j = judge(run.problem, run.truth, run.descriptor, untouched);
  CHECK(j.check == Check::nonfinite);
  CHECK(j.failing == 3 * 2 * 33);
}

TEST_CASE("bytes written outside an output fail before anything else") {
  Run run("mha B=1 Sq=3 Sk=8 H=2 D=32 dtype=bf16");
  run.set_o(0, kNan);
  const auto bytes = run.outputs.at("lse").bytes();
  bytes.data()[bytes.size()] = std::byte{0};
  const Judgement j = run.judged();
  CHECK(j.check == Check::canary);
  CHECK(j.message.rfind("lse: ", 0) == 0);
}

TEST_CASE("a gate wider than o itself, or a truth of zeros, proves nothing") {
  const Problem p = parse_problem("mha B=1 Sq=4 Sk=16 H=2 D=8 dtype=bf16 fill=denormal");
  by_hand::Values values;
  values.o = 1e-4;
  Descriptor d = by_hand::silent();
  d.p_type = Dtype::bf16;
  values.second_moment = 1;  // rounding p may cost 2^-8
  Truth truth = by_hand::truth(p, values);
  const Judgement wide = judge(p, truth, d, by_hand::perfect(truth, Dtype::bf16));
  CHECK(wide.verdict == Verdict::untrusted);
  CHECK(wide.metrics.tightest > wide.metrics.rms);

  Problem iid = p;
  iid.fill = Fill::normal;  // the statistical gates are sharper, and apply
  values.second_moment = 1e-9;
  truth = by_hand::truth(iid, values);
  CHECK(judge(iid, truth, d, by_hand::perfect(truth, Dtype::bf16)).verdict == Verdict::pass);

  values.o = 0;
  truth = by_hand::truth(iid, values);
  const Judgement zero = judge(iid, truth, d, by_hand::perfect(truth, Dtype::bf16));
  CHECK(zero.verdict == Verdict::untrusted);
}

TEST_CASE("a failure is a failure even where a pass would prove nothing") {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=16 H=1 D=8 dtype=bf16");
  by_hand::Values values;
  values.o = 0;
  const Truth truth = by_hand::truth(p, values);
  TensorSet outputs = by_hand::perfect(truth, Dtype::bf16);
  by_hand::poke(outputs.at("o"), 3, 1);
  CHECK(judge(p, truth, by_hand::silent(), outputs).verdict == Verdict::fail);
}

TEST_CASE("roundings that line up on a coherent fill pass with a warning") {
  const Judgement j = Run("gqa B=2 Sq=9 Sk=129 H=4 G=2 D=64 dtype=bf16 fill=twolevel").judged();
  CHECK(j.verdict == Verdict::pass);
  CHECK(j.warn);
  CHECK(j.metrics.stat_ratio > 1);
  CHECK(j.message.find("statistical bound") != std::string::npos);
  CHECK_FALSE(Run(kCausal).judged().warn);
}

TEST_CASE("a diffuse error on a coherent fill exceeds the gate on error over sum P |v|") {
  const Problem p = parse_problem("mha B=1 Sq=4 Sk=16 H=2 D=8 dtype=bf16 fill=tailhot");
  by_hand::Values values;
  values.o = 0.5 - 0.0019;  // hard bound 2^-8 (sum P |v| + o) = 0.0059
  values.second_moment = 1.0 / 64;
  Descriptor d = by_hand::silent();
  d.p_type = Dtype::bf16;
  const Truth truth = by_hand::truth(p, values);
  TensorSet outputs = by_hand::perfect(truth, Dtype::bf16);
  CHECK(judge(p, truth, d, outputs).verdict == Verdict::pass);
  for (Index n = 0; n < outputs.at("o").size(); ++n)
    by_hand::poke(outputs.at("o"), n, 0.5 + 0x1p-8);
  const Judgement j = judge(p, truth, d, outputs);
  CHECK(j.metrics.hard_failing == 0);
  CHECK(j.metrics.nmse_a == Approx(std::pow(0x1p-8 + 0.0019, 2)));
  CHECK(j.check == Check::nmse);
}

TEST_CASE("up to eight worst elements are reported, pass or fail") {
  const Judgement pass = Run(kCausal).judged();
  CHECK(pass.worst.size() == 8);
  CHECK(pass.metrics.hard_median > 0);
  CHECK(pass.metrics.hard_median < pass.metrics.hard_ratio);
  CHECK(pass.metrics.ulp_p99 <= pass.metrics.ulp_max * 1.032);
  CHECK(Run(kCausal, Defect::drop_last_key).judged().worst.size() == 8);
}

TEST_CASE("outputs of another shape or type are refused") {
  Run run("mha B=1 Sq=3 Sk=8 H=2 D=32 dtype=bf16");
  Descriptor fp32 = run.descriptor;
  fp32.o_type = Dtype::fp32;
  CHECK_THROWS_AS(judge(run.problem, run.truth, fp32, run.outputs), Error);
  TensorSet no_lse;
  no_lse.add(Tensor("o", Dtype::bf16, "BSHD", {1, 3, 2, 32}));
  CHECK_THROWS_AS(judge(run.problem, run.truth, run.descriptor, no_lse), Error);
}

TEST_CASE("an element prints with its letters") {
  CHECK(print(Element{"o", {0, 0, 3, 17}, 0.41406, 0.40613, 0.00241}) ==
        "o[b=0,i=0,h=3,d=17] got 0.41406 want 0.40613 bound 0.00241");
  CHECK(print(Element{"lse", {1, 2, 3}, 1, 2, 0.5}) == "lse[b=1,h=2,i=3] got 1 want 2 bound 0.5");
}

TEST_CASE("names of verdicts and checks can be read back") {
  for (int n = 0; n < 8; ++n)
    CHECK(parse_verdict(name(static_cast<Verdict>(n))) == static_cast<Verdict>(n));
  for (int n = 0; n < 11; ++n)
    CHECK(parse_check(name(static_cast<Check>(n))) == static_cast<Check>(n));
  CHECK_THROWS_AS(parse_verdict("maybe"), Error);
}
