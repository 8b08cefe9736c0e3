#include "harness/junit.h"

#include "tests/catch.h"

using namespace attest;

TEST_CASE("a failing case shows its worst elements, its message escaped, and how to run it again") {
  const Case which = parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode splits=3");
  Record record = unfinished(which, Verdict::fail, "o < bound & \"worse\"");
  record.judgement.check = Check::stat_bound;
  record.judgement.worst = {{"o", {0, 0, 1, 17}, 0.5, 0.25, 0.125}, {"lse", {0, 1, 0}, 1, 2, 0.5}};
  const std::string xml = junit_report({record, unfinished(which, Verdict::skip, "no")});
  CHECK_THAT(xml, Catch::Contains("tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"1\""));
  CHECK_THAT(xml, Catch::Contains("<failure message=\"FAIL(stat_bound): o &lt; bound"));
  CHECK_THAT(xml, Catch::Contains("o &lt; bound &amp; &quot;worse&quot;"));
  CHECK_THAT(xml,
             Catch::Contains("o[b=0,i=0,h=1,d=17] got 0.5 want 0.25 error 0.25, 2 x bound 0.125"));
  CHECK_THAT(xml, Catch::Contains("lse[b=0,h=1,i=0] got 1 want 2 error -1, 2 x bound 0.5"));
  CHECK_THAT(xml, Catch::Contains("/test_harness run &quot;mha B=1 Sq=1 Sk=9 H=2 G=2 D=64 "
                                  "dtype=bf16 | kernel=decode splits=3&quot;"));
}

TEST_CASE("what did not run is an error in JUnit, never a pass") {
  const Case which = parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode");
  const std::string xml = junit_report({unfinished(which, Verdict::not_run, "interrupted")});
  CHECK_THAT(xml, Catch::Contains("errors=\"1\""));
}

TEST_CASE("a case that passed with a warning passes in JUnit, the warning as its output") {
  Record record = unfinished(parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode"),
                             Verdict::pass, "beyond < the bound");
  CHECK_THAT(junit_report({record}), !Catch::Contains("<system-out>"));
  record.judgement.warn = true;
  const std::string xml = junit_report({record});
  CHECK_THAT(xml, Catch::Contains("failures=\"0\" errors=\"0\" skipped=\"0\""));
  CHECK_THAT(xml,
             Catch::Contains("><system-out>WARN: beyond &lt; the bound</system-out></testcase>"));
}
