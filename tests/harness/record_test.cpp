#include "harness/record.h"

#include <cmath>
#include <limits>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {
const Case kCase = parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode splits=3");
constexpr double kInfinity = std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("a record survives its line of JSON, infinities and NaN included") {
  Record record = unfinished(kCase, Verdict::fail, "message \"quoted\"\nand broken");
  record.judgement.check = Check::lse_bound;
  record.judgement.metrics.rho = kInfinity;
  record.judgement.metrics.hard_ratio = 0.1;
  record.judgement.worst = {{"lse", {0, 1, 0}, -kInfinity, std::nan(""), 0.5}};
  record.descriptor = Descriptor{0x1p-23, 85,          5,    153, 9, 20,         0x1p-24,
                                 0x1p-22, Dtype::bf16, true, 64,  3, Dtype::bf16};
  const std::string line = to_json(record);
  CHECK(line.find('\n') == std::string::npos);
  const Record back = parse_record(line);
  CHECK(back.which == kCase);
  CHECK(back.judgement.message == record.judgement.message);
  CHECK(back.judgement.check == Check::lse_bound);
  CHECK(back.judgement.metrics.rho == kInfinity);
  CHECK(back.judgement.metrics.hard_ratio == 0.1);
  CHECK(back.judgement.worst.at(0).got == -kInfinity);
  CHECK(std::isnan(back.judgement.worst.at(0).want));
  CHECK(back.descriptor->depth_l == 20);
  CHECK(to_json(back) == line);
}

TEST_CASE("a message that is no UTF-8 still makes a line of JSON") {
  const Record record = unfinished(kCase, Verdict::crash, "bytes \xff\xfe", CrashReason::crash);
  CHECK(parse_record(to_json(record)).crash == CrashReason::crash);
}

TEST_CASE("a line that is no record is an infrastructure error") {
  for (const char* line : {"", "{}", "[1]", "{\"schema\":2}", "not json"}) {
    CAPTURE(line);
    CHECK_THROWS_AS(parse_record(line), InfraError);
  }
}
