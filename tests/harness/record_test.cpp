#include "harness/record.h"

#include <cmath>
#include <filesystem>
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
  record.judgement.stages = {{.stage = "qkv", .ratio = 0.5, .total = 12},
                             {.stage = "out", .verdict = Verdict::fail, .check = Check::rho}};
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
  REQUIRE(back.judgement.stages.size() == 2);
  CHECK(back.judgement.stages[0].ratio == 0.5);
  CHECK(back.judgement.stages[1].check == Check::rho);
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

TEST_CASE("reproducers name this program as the current folder finds it") {
  namespace fs = std::filesystem;
  const fs::path before = fs::current_path(), program = fs::read_symlink("/proc/self/exe");
  Record record = unfinished(kCase, Verdict::fail, "far off");
  const auto first_word = [&](const fs::path& folder) {
    fs::current_path(folder);
    const std::string line = reproducers(record).front();
    fs::current_path(before);
    return line.substr(0, line.find(" run \"mha B=1 Sq=1 Sk=9 "));
  };
  const fs::path folder = program.parent_path();
  CHECK(first_word(folder) == "rerun: ./" + program.filename().string());
  CHECK(first_word(folder.parent_path()) ==
        "rerun: " + (folder.filename() / program.filename()).string());
  CHECK(first_word("/proc") == "rerun: " + program.string());
  CHECK(reproducers(record).size() == 1);

  record.dump = "report/it's.h5";
  const std::string replay = reproducers(record).at(1);
  CHECK(replay.substr(replay.find(" run ")) == " run --replay 'report/it'\\''s.h5'");
}

TEST_CASE("a verdict names what it rests on") {
  Record record = unfinished(kCase, Verdict::crash, "", CrashReason::deadlock);
  CHECK(verdict_of(record) == "CRASH(deadlock)");
  record = unfinished(kCase, Verdict::fail, "");
  record.judgement.check = Check::rho_row;
  CHECK(verdict_of(record) == "FAIL(rho_row)");
  CHECK(verdict_of(unfinished(kCase, Verdict::pass, "")) == "PASS");
}
