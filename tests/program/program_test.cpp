// The program as a user meets it: exit codes, messages, and what is left on disk.
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/program/shell.h"

namespace fs = std::filesystem;

namespace {

const std::string kAttest = ATTEST_PROGRAM;
Result attest(const std::string& arguments) { return shell(kAttest + " " + arguments); }

/// A folder that goes with its owner.
struct Scratch {
  fs::path path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "attest-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path = name;
  }
  ~Scratch() { fs::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
};

std::string write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

std::string slurp(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

const std::string kCase = "'gqa B=1 Sq=5 Sk=70 H=6 G=2 D=64 dtype=bf16 mask=causal seed=3'";

}  // namespace

TEST_CASE("a healthy case passes on every kernel that supports it") {
  const Result result = attest("run " + kCase);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Contains("PASS 2   FAIL 0   SKIP 0   UNTRUSTED 0"));
}

TEST_CASE("what the user got wrong is named, with exit code 2") {
  const auto [arguments, message] = GENERATE(table<std::string, std::string>({
      {"run 'gqa B=1 Sq=1 Sk=1 H=6 G=4 D=64 dtype=bf16'", "H must be a multiple of G, got H=6 G=4"},
      {"run 'mha B=-1 Sq=1 Sk=1 H=6 D=64 dtype=bf16'", "B must lie in"},
      {"run 'mha B=1 Sq=16777216 Sk=1 H=64 D=64 dtype=bf16'", "at most 2^31 elements"},
      {"run 'mha B=1 Sq=1 Sk=1 H=6 D=64 dtype=bf16 colour=red'", "got colour=red"},
      {"run --shard 4/3", "shard: i must be a whole number in [1, 3]"},
      {"run --match '('", "must be a regular expression"},
      {"run --backend tpu", "backend: must be one of emu gpu, got tpu"},
      {"run --kernel magic", "magic"},
      {"run --jobs 0", "must be positive"},
      {"list --colour", "--colour"},
      {"golden generate", "--output"},
      {"", "subcommand"},
      {"frobnicate", "must be one of run list merge golden bench"},
  }));
  CAPTURE(arguments);
  const Result result = attest(arguments);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Catch::Contains(message));
}

TEST_CASE("a mistake in a case file is named with line and column, a missing file by its name") {
  const Scratch scratch;
  const std::string file = write(scratch / "key.yaml", "variant: mha\ncolour: red\n");
  const Result unknown_key = attest("run " + file);
  CHECK(unknown_key.exit_code == 2);
  CHECK_THAT(unknown_key.output, Catch::Contains(file + ":2:1"));
  const Result missing = attest("run " + (scratch / "absent.yaml"));
  CHECK(missing.exit_code == 3);
  CHECK_THAT(missing.output, Catch::Contains("absent.yaml"));
}

TEST_CASE("a wrong expect is an error that says how many cases there are") {
  const Scratch scratch;
  const std::string file =
      write(scratch / "count.yaml",
            "variant: mha\naxes:\n  B: [1]\n  Sq: [1, 2]\n  Sk: [3]\n  H: [2]\n"
            "  D: [64]\n  dtype: [bf16]\ncoverage: product\nexpect: 3\n");
  const Result result = attest("list " + file);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Catch::Contains("count.yaml") && Catch::Contains("expect"));
}

TEST_CASE("a selection that keeps nothing is exit code 5, never 0") {
  CHECK(attest("run --match 'no such case'").exit_code == 5);
  CHECK(attest("list --match 'no such case'").exit_code == 5);
  const Scratch scratch;
  CHECK(attest("golden generate --match 'no such case' -o " + (scratch / "a.h5")).exit_code == 5);
  CHECK(!fs::exists(scratch / "a.h5"));
}

TEST_CASE("a case that no kernel supports is skipped with its reason, and nothing ran") {
  const Scratch scratch;
  const Result result =
      attest("run 'mha B=1 Sq=1 Sk=1 H=1 D=60 dtype=bf16' --report " + (scratch / "report"));
  CHECK(result.exit_code == 5);
  CHECK_THAT(result.output, Catch::Contains("PASS 0   FAIL 0   SKIP 1"));
  const std::string reason = "SKIP 1  prefill: D must be a multiple of 8, got D=60 (mha B=1 ";
  CHECK_THAT(result.output, Catch::Contains(reason));
  CHECK_THAT(slurp(scratch / "report/summary.txt"), Catch::Contains(reason));
}

TEST_CASE("the report folder holds every format, and standard output names it") {
  const Scratch scratch;
  const Result result = attest("run " + kCase + " --report " + (scratch / "report"));
  CHECK_THAT(result.output, Catch::Contains("report: " + (scratch / "report")));
  CHECK(fs::exists(scratch / "report/junit.xml"));
  CHECK(fs::exists(scratch / "report/summary.txt"));
  CHECK(!fs::exists(scratch / "report/results.jsonl.partial"));
  const std::string lines = slurp(scratch / "report/results.jsonl");
  CHECK(std::count(lines.begin(), lines.end(), '\n') == 2);
  CHECK_THAT(lines, Catch::Contains("\"verdict\":\"PASS\""));
}

TEST_CASE("three merged shards equal one run, in everything but the seconds") {
  const Scratch scratch;
  const std::string list =
      write(scratch / "few.list",
            "gqa B=1 Sq=5 Sk=70 H=6 G=2 D=64 dtype=bf16 mask=causal\n"
            "mha B=2 Sq=3 Sk=9 H=2 D=64 dtype=fp16\nmqa B=1 Sq=2 Sk=65 H=4 D=64 dtype=bf16\n"
            "mha B=1 Sq=2 Sk=3 H=2 D=60 dtype=bf16\nmqa B=1 Sq=66 Sk=9 H=2 D=64 dtype=fp16\n"
            "mla B=2 Sq=1 Sk=35 H=3 D=72 dtype=bf16 form=absorbed Dn=20 Dr=8\n");
  const auto report = [&](const char* name) { return " --report " + (scratch / name) + " "; };
  REQUIRE(attest("run " + list + report("one") + "--jobs 3").exit_code == 0);
  std::string folders;
  for (const char* shard : {"1", "2", "3"}) {
    REQUIRE(attest("run " + list + report(shard) + "--shard " + shard + "/3").exit_code != 3);
    if (fs::exists(scratch / shard)) folders += " " + (scratch / shard);
  }
  const Result merged = attest("merge" + folders + " -o " + (scratch / "all"));
  CHECK(merged.exit_code == 0);
  CHECK_THAT(merged.output, Catch::Contains("PASS 9   FAIL 0   SKIP 1"));
  const auto without_seconds = [](const std::string& text) {
    const std::regex seconds("\"seconds\":\\{[^}]*\\}|time=\"[^\"]*\"");
    return std::regex_replace(text, seconds, "");
  };
  for (const char* file : {"results.jsonl", "junit.xml", "cases.txt", "run.json"}) {
    CAPTURE(file);
    const std::string name = std::string("/") + file;
    const std::string one = without_seconds(slurp((scratch / "one") + name));
    CHECK(one.size() > 50);
    CHECK(without_seconds(slurp((scratch / "all") + name)) == one);
  }
}

TEST_CASE("shards that do not make up a list end with exit code 3, wrong ones with 2") {
  const Scratch scratch;
  const std::string part =
      "run --match 'mha .*Sq=5 ' " + std::string(ATTEST_SOURCE_DIR) + "/ci/smoke.list --shard ";
  const std::string one = scratch / "one", two = scratch / "two", all = " -o " + (scratch / "all");
  REQUIRE(attest(part + "1/2 --report " + one).exit_code == 0);
  REQUIRE(attest(part + "2/2 --report " + two).exit_code == 0);
  CHECK(attest("merge " + one + ' ' + two + all).exit_code == 0);
  const Result missing = attest("merge " + one + all);
  CHECK(missing.exit_code == 3);
  CHECK_THAT(missing.output, Catch::Contains("run --shard 2/2 and merge again"));
  CHECK_THAT(missing.output, Catch::Contains("no folder has this case, of shard 2/2"));
  const Result twice = attest("merge " + one + ' ' + two + ' ' + one + all);
  CHECK(twice.exit_code == 2);
  CHECK_THAT(twice.output, Catch::Contains("name each shard once"));
  CHECK(attest("merge " + one + ' ' + two + " -o " + two).exit_code == 2);
  CHECK(fs::exists(two + "/results.jsonl"));
  CHECK(attest("merge " + one + ' ' + (scratch / "absent") + all).exit_code == 3);
}

TEST_CASE("list --coverage ends with what is missing, and fails where something is") {
  const std::string smoke = " " ATTEST_SOURCE_DIR "/ci/smoke.list";
  const Result whole = attest("list --coverage" + smoke);
  CHECK(whole.exit_code == 0);
  CHECK_THAT(whole.output, Catch::StartsWith("cases with ") && Catch::EndsWith("\n0 missing\n"));
  CHECK_THAT(whole.output, Catch::Contains("\nno case has both:\n"));
  CHECK_THAT(whole.output, Catch::Contains("\nsmoke.yaml:19     pairwise        16 "));
  const Result part = attest("list --coverage --match kernel=prefill" + smoke);
  CHECK(part.exit_code == 1);
  CHECK_THAT(part.output, Catch::Contains("\nmissing in smoke.yaml:19: kernel=decode "));
}

TEST_CASE("list --cost adds up variants and kernels, and shards where one is asked for") {
  const std::string smoke = " " ATTEST_SOURCE_DIR "/ci/smoke.list";
  const Result whole = attest("list --cost" + smoke);
  CHECK(whole.exit_code == 0);
  CHECK_THAT(whole.output, Catch::Contains("\nmla      mla_decode") && Catch::Contains("\ntotal "));
  CHECK_THAT(whole.output, !Catch::Contains("shard"));
  const Result part = attest("list --cost --shard 2/2" + smoke);
  CHECK_THAT(part.output, Catch::Contains("\nshard 1/2: ") && Catch::Contains("\nshard 2/2: "));
}

TEST_CASE("a GPU run on a machine without a GPU is an infrastructure error") {
  if (attest("doctor").output.find("lane gpu      can run") != std::string::npos) return;
  CHECK(attest("run " + kCase + " --backend gpu").exit_code == 3);
}

TEST_CASE("a golden is generated, verified, and refused once it is damaged") {
  const Scratch scratch;
  const std::string file = scratch / "small.h5";
  REQUIRE(attest("golden generate " + kCase + " -o " + file).exit_code == 0);
  const Result verified = attest("golden verify " + file);
  CHECK(verified.exit_code == 0);
  CHECK_THAT(verified.output, Catch::Contains("verified, logical hash "));

  const std::string bytes = slurp(file);
  write(scratch / "cut.h5", bytes.substr(0, bytes.size() / 2));
  const Result cut = attest("golden verify " + (scratch / "cut.h5"));
  CHECK(cut.exit_code == 3);
  CHECK_THAT(cut.output, Catch::Contains("golden: "));
  CHECK(attest("golden verify " + (scratch / "absent.h5")).exit_code == 3);
  CHECK(attest("golden verify " + write(scratch / "text.h5", "not HDF5")).exit_code == 3);
}

TEST_CASE("a golden that cannot be written leaves nothing behind") {
  const Scratch scratch;
  const Result result = shell("ulimit -f 8; trap '' XFSZ; " + kAttest + " golden generate " +
                              kCase + " -o " + (scratch / "full.h5"));
  CHECK(result.exit_code == 3);
  CHECK(fs::is_empty(scratch.path));
}

TEST_CASE("a report that cannot be written is an infrastructure error") {
  const Result result = attest("run " + kCase + " --report /dev/null/report");
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.output, Catch::Contains("report: "));
}

TEST_CASE("an interrupted run ends with exit code 3 and says what did not run") {
  const Scratch scratch;
  const Result result = shell("timeout --preserve-status --signal=INT 3 " + kAttest +
                              " run --jobs 1 --report " + (scratch / "report"));
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.output, Catch::Contains("  run: was interrupted before this case ended"));
  CHECK_THAT(slurp(scratch / "report/results.jsonl"), Catch::Contains("NOT_RUN"));
}
