#include "harness/pool.h"

#include <map>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

std::vector<Case> some_cases(int count) {
  std::vector<Case> cases;
  for (int n = 1; n <= count; ++n)
    cases.push_back(
        parse_case(concat("mha B=1 Sq=", n, " Sk=3 H=2 D=64 dtype=bf16 | kernel=prefill")));
  return cases;
}

/// Runs the pool with a shell program as worker. `pass` in the program answers one PASS record.
std::map<std::string, Record> run_with(const std::string& program, const std::vector<Case>& cases,
                                       int jobs = 2, double timeout = 20) {
  Record passed = unfinished(cases.front(), Verdict::pass, "");
  const std::string json = to_json(passed);
  const std::string text = print(cases.front());
  const std::size_t at = json.find(text);
  const std::string answer = "pass() { printf '%s' '" + json.substr(0, at) +
                             "'; printf '%s' \"$line\"; printf '%s\\n' '" +
                             json.substr(at + text.size()) + "'; }; ";
  std::map<std::string, Record> results;
  run_pool(
      cases, {{"sh", "-c", answer + program}, jobs, timeout}, [](const Case&) {},
      [&](const Record& record) { results[print(record.which)] = record; });
  return results;
}

}  // namespace

TEST_CASE("every case gets one record, whoever works on it") {
  const auto cases = some_cases(7);
  const auto results = run_with("while read -r line; do pass; done", cases, 3);
  CHECK(results.size() == 7);
  for (const Case& c : cases) CHECK(results.at(print(c)).judgement.verdict == Verdict::pass);
}

TEST_CASE("a worker that dies is a CRASH with its case and signal, and the others finish") {
  const auto cases = some_cases(6);
  const auto results = run_with(
      "while read -r line; do case \"$line\" in *Sq=3*) echo last words >&2; kill -SEGV $$;; esac;"
      " pass; done",
      cases);
  REQUIRE(results.size() == 6);
  const Record& lost = results.at(print(cases[2]));
  CHECK(lost.judgement.verdict == Verdict::crash);
  CHECK(lost.crash == CrashReason::crash);
  CHECK_THAT(lost.judgement.message,
             Catch::Contains("Segmentation fault") && Catch::Contains("last words"));
  for (std::size_t n : {0u, 1u, 3u, 4u, 5u})
    CHECK(results.at(print(cases[n])).judgement.verdict == Verdict::pass);
}

TEST_CASE("a worker that answers too late is a CRASH with reason hang, and the others finish") {
  const auto cases = some_cases(4);
  const auto results =
      run_with("while read -r line; do case \"$line\" in *Sq=2*) exec sleep 60;; esac; pass; done",
               cases, 2, 0.5);
  REQUIRE(results.size() == 4);
  CHECK(results.at(print(cases[1])).crash == CrashReason::hang);
  CHECK(results.at(print(cases[3])).judgement.verdict == Verdict::pass);
}

TEST_CASE("a worker that ends without an answer is a CRASH with its exit code") {
  const auto cases = some_cases(1);
  const auto results = run_with("read -r line; exit 7", cases, 1);
  CHECK_THAT(results.at(print(cases[0])).judgement.message, Catch::Contains("exit code 7"));
}

TEST_CASE("a worker that cannot be started is an infrastructure error") {
  CHECK_THROWS_AS(
      run_pool(
          some_cases(1), {{"/nonexistent/attest"}, 1, 5}, [](const Case&) {}, [](const Record&) {}),
      InfraError);
}
