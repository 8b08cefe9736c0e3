#include "harness/summary.h"

#include "tests/catch.h"

using namespace attest;

namespace {
ExitCode code_of(std::vector<Verdict> verdicts) {
  const Case which = parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode");
  std::vector<Record> records;
  for (Verdict verdict : verdicts) records.push_back(unfinished(which, verdict, "because"));
  return exit_code(summarize(records));
}
}  // namespace

TEST_CASE("the exit code follows the precedence 3 > 1 > 4 > 5 > 0") {
  CHECK(code_of({Verdict::pass, Verdict::skip}) == kPassed);
  CHECK(code_of({Verdict::xfail}) == kPassed);
  CHECK(code_of({Verdict::pass, Verdict::fail, Verdict::untrusted}) == kFailed);
  CHECK(code_of({Verdict::pass, Verdict::crash}) == kFailed);
  CHECK(code_of({Verdict::pass, Verdict::xpass}) == kFailed);
  CHECK(code_of({Verdict::pass, Verdict::untrusted}) == kUntrusted);
  CHECK(code_of({Verdict::fail, Verdict::not_run}) == kInfrastructure);
  CHECK(code_of({Verdict::skip, Verdict::skip}) == kNothingRan);
  CHECK(code_of({}) == kNothingRan);
}

TEST_CASE("the total line counts verdicts and names the worst case") {
  const Case which = parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode");
  const Summary summary =
      summarize({unfinished(which, Verdict::pass, ""), unfinished(which, Verdict::crash, "x")});
  CHECK_THAT(total_line(summary), Catch::StartsWith("PASS 1   FAIL 0   SKIP 0   UNTRUSTED 0"));
  CHECK_THAT(total_line(summary), Catch::Contains("CRASH 1"));
}

TEST_CASE("the report tells the kernels' time in mma probes, where there is a probe") {
  Record record = unfinished(parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode"),
                             Verdict::pass, "");
  record.seconds.kernel = 3;
  CHECK_THAT(text_report({record}, 1e-6), Catch::Contains("kernels 3.0 (3.00e+06 mma probes of"));
  CHECK_THAT(text_report({record}), !Catch::Contains("probes"));
}
