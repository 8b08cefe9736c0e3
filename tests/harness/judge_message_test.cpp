// The one line that says what failed, where and by how much.
#include "tests/catch.h"
#include "tests/harness/judged_run.h"

using namespace judged;

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

TEST_CASE("up to eight worst elements are reported, pass or fail") {
  const Judgement pass = Run(kCausal).judged();
  CHECK(pass.worst.size() == 8);
  CHECK(pass.metrics.hard_median > 0);
  CHECK(pass.metrics.hard_median < pass.metrics.hard_ratio);
  CHECK(pass.metrics.ulp_p99 <= pass.metrics.ulp_max * 1.032);
  CHECK(Run(kCausal, Defect::drop_last_key).judged().worst.size() == 8);
}

TEST_CASE("NaN in one tensor alone is told apart from NaN in both") {
  Run run(kCausal);
  for (Index n = 0; n < run.outputs.at("o").size(); ++n) run.set_o(n, kNan);
  CHECK(run.judged().message.find("; every element of o; none of lse;") != std::string::npos);
  for (float& lse : run.outputs.at("lse").as<float>()) lse = static_cast<float>(kNan);
  CHECK(run.judged().message.find("; every element of o and lse;") != std::string::npos);

  Run lse_only(kCausal);
  for (Index i = 0; i < 48; ++i)
    lse_only.outputs.at("lse").as<float>()[static_cast<std::size_t>(2 * 48 + i)] = 1.0F / 0.0F;
  const Judgement j = lse_only.judged();
  CHECK(j.check == Check::nonfinite);
  CHECK(j.failing == 48);
  CHECK(j.message.find("; none of o; only head h=2 of lse") != std::string::npos);
}

TEST_CASE("an element prints with its letters, its error and its bound") {
  CHECK(print(Element{"o", {0, 0, 3, 17}, 0.41406, 0.40613, 0.00241}) ==
        "o[b=0,i=0,h=3,d=17] got 0.41406 want 0.40613 error 0.00793, 3.29 x bound 0.00241");
  CHECK(print(Element{"lse", {1, 2, 3}, 1, 2, 0.5}) ==
        "lse[b=1,h=2,i=3] got 1 want 2 error -1, 2 x bound 0.5");
}

TEST_CASE("an element prints as many digits as it takes to see the error") {
  CHECK(print(Element{"lse", {0, 0, 0}, -143.42142, -143.421, 0.000324}) ==
        "lse[b=0,h=0,i=0] got -143.4214 want -143.421 error -0.00042, 1.296 x bound 0.000324");
  CHECK(print(Element{"o", {0, 0, 0, 0}, 1 + 1e-12, 1, 1e-13}) ==
        "o[b=0,i=0,h=0,d=0] got 1 want 1 error 1e-12, 10 x bound 1e-13");
  CHECK(print(Element{"o", {0, 0, 0, 0}, 1e-310, 2e-310, 1e-311}) ==
        "o[b=0,i=0,h=0,d=0] got 1e-310 want 2e-310 error -1e-310, 10 x bound 1e-311");
}

TEST_CASE("an element that has no room for an error says what it must be") {
  CHECK(print(Element{"o", {0, 0, 0, 1}, 0.5, 0.25, 0}) ==
        "o[b=0,i=0,h=0,d=1] got 0.5 want 0.25 error 0.25, must be exact");
  CHECK(print(Element{"o", {0, 0, 0, 1}, -kNan, 0.25, 0}) ==
        "o[b=0,i=0,h=0,d=1] got nan want 0.25, must be finite");
  CHECK(print(Element{"lse", {0, 0, 1}, -30000, -kInfinity, 0}) ==
        "lse[b=0,h=0,i=1] got -30000 want -inf, must be -inf");
}
