// The judge's verdicts on outputs that a test has damaged.
#include <algorithm>
#include <cmath>

#include "tests/catch.h"
#include "tests/harness/judged_run.h"

using namespace judged;

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

TEST_CASE("outputs of another shape or type are refused") {
  Run run("mha B=1 Sq=3 Sk=8 H=2 D=32 dtype=bf16");
  Descriptor fp32 = run.descriptor;
  fp32.o_type = Dtype::fp32;
  CHECK_THROWS_AS(judge(run.problem, run.truth, fp32, run.outputs), Error);
  TensorSet no_lse;
  no_lse.add(Tensor("o", Dtype::bf16, "BSHD", {1, 3, 2, 32}));
  CHECK_THROWS_AS(judge(run.problem, run.truth, run.descriptor, no_lse), Error);
}

TEST_CASE("names of verdicts and checks can be read back") {
  for (int n = 0; n < 8; ++n)
    CHECK(parse_verdict(name(static_cast<Verdict>(n))) == static_cast<Verdict>(n));
  for (int n = 0; n < 12; ++n)
    CHECK(parse_check(name(static_cast<Check>(n))) == static_cast<Check>(n));
  CHECK_THROWS_AS(parse_verdict("maybe"), Error);
}
