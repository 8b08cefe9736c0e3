#include "harness/summary.h"

#include "tests/catch.h"

using namespace attest;

namespace {
const std::string kDecode = "mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode";

Record record_of(const std::string& text, Verdict verdict, const std::string& message = "") {
  return unfinished(parse_case(text), verdict, message);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

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
  CHECK_THAT(text_report({record}, Detail::brief, 1e-6),
             Catch::Contains("kernels 3.0 (3.00e+06 mma probes of"));
  CHECK_THAT(text_report({record}, Detail::brief), !Catch::Contains("probes"));
}

TEST_CASE("a warning is counted, and its case named in the full report") {
  Record warned = record_of(kDecode, Verdict::pass, "roundings line up");
  warned.judgement.warn = true;
  const std::vector<Record> records = {warned, record_of(kDecode, Verdict::pass)};
  CHECK_THAT(total_line(summarize(records)), Catch::EndsWith("UNTRUSTED 0   WARN 1"));
  CHECK_THAT(total_line(summarize({records[1]})), !Catch::Contains("WARN"));
  CHECK_THAT(text_report(records, Detail::full),
             Catch::Contains("WARN  mha B=1 Sq=1 Sk=9 H=2 G=2 D=64 dtype=bf16 | kernel=decode  "
                             "roundings line up\n"));
  warned.judgement.verdict = Verdict::untrusted;  // its own count says that nothing is proved
  CHECK_THAT(total_line(summarize({warned})), !Catch::Contains("WARN"));
}

TEST_CASE("every reason to skip has one line with its count") {
  const std::vector<Record> records = {
      record_of(kDecode, Verdict::skip, "decode: too long"),
      record_of(kDecode + " splits=2", Verdict::skip, "decode: too long"),
      record_of(kDecode, Verdict::skip, "decode: too wide")};
  for (const Detail detail : {Detail::brief, Detail::full}) {
    const std::string text = text_report(records, detail);
    CHECK(count(text, "decode: too long") == 1);
    CHECK_THAT(text, Catch::Contains("SKIP 2  decode: too long (first: mha B=1 "));
    CHECK_THAT(text, Catch::Contains("SKIP 1  decode: too wide (mha B=1 "));
  }
}

TEST_CASE("cases that an interrupt left out are counted, and named in the full report") {
  const std::vector<Record> records = {
      record_of(kDecode, Verdict::not_run, "interrupted"),
      record_of(kDecode + " splits=2", Verdict::not_run, "interrupted")};
  CHECK(count(text_report(records, Detail::brief), "interrupted") == 1);
  CHECK_THAT(text_report(records, Detail::brief), Catch::Contains("NOT_RUN 2  interrupted"));
  CHECK(count(text_report(records, Detail::full), "interrupted") == 3);
}

TEST_CASE("a failure names its check and the commands that run it again") {
  Record record = record_of(kDecode, Verdict::fail, "far off");
  record.judgement.check = Check::hard_bound;
  record.dump = "my report/a.h5";
  const std::string text = text_report({record}, Detail::brief);
  CHECK_THAT(text, Catch::StartsWith("FAIL(hard_bound)  mha B=1 "));
  CHECK_THAT(text, Catch::Contains("\n      far off\n      rerun: "));
  CHECK_THAT(text, Catch::Contains(" run --replay 'my report/a.h5'\n"));
}

TEST_CASE("of many failures ten are told in full, the smallest problems, and all in a line") {
  std::vector<Record> records;
  for (int n = 13; n > 0; --n)
    records.push_back(
        record_of("mha B=1 Sq=1 Sk=" + std::to_string(n) + " H=2 D=64 dtype=bf16 | kernel=decode",
                  n % 2 ? Verdict::fail : Verdict::crash, "far off"));
  const std::string brief = text_report(records, Detail::brief);
  CHECK(count(brief, "rerun: ") == 10);
  CHECK(count(brief, "Sk=10 ") == 2);  // and in its command
  CHECK(count(brief, "Sk=11 ") == 0);
  CHECK_THAT(brief, Catch::Contains("\n3 more, the smallest problems are above; summary.txt "));
  const std::string full = text_report(records, Detail::full);
  CHECK(count(full, "rerun: ") == 10);
  for (const char* key : {"Sk=11 ", "Sk=12 ", "Sk=13 "}) CHECK(count(full, key) == 1);
}

TEST_CASE("a case that did not run shares its row with those that ran") {
  Record ran = record_of(kDecode + " backend=gpu", Verdict::pass);
  ran.device = "Some GPU";
  const std::string text =
      text_report({record_of(kDecode, Verdict::skip, "no"), record_of(kDecode, Verdict::pass),
                   record_of(kDecode + " backend=gpu", Verdict::skip, "no"), ran},
                  Detail::brief);
  for (const std::string device : {"emulated", "Some GPU"})
    CHECK(count(text, "mha      decode      " + device + "           2     1     0     1") == 1);
}
