#include "harness/merge.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cases/error.h"
#include "harness/report_folder.h"
#include "harness/selection.h"
#include "tests/catch.h"

using namespace attest;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  fs::path path;
  Scratch() {
    std::string name = (fs::temp_directory_path() / "attest-merge-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path = name;
  }
  ~Scratch() { fs::remove_all(path); }
};

std::vector<Case> list_of(int count) {
  std::vector<Case> list;
  for (int n = 1; n <= count; ++n)
    list.push_back(
        parse_case(concat("mha B=1 Sq=", n, " Sk=9 H=2 D=64 dtype=bf16 | kernel=prefill")));
  return list;
}

/// A folder as a run over one shard leaves it; records in the opposite order.
fs::path report(const fs::path& path, const std::vector<Case>& list, const std::string& shard,
                const std::string& commit = "") {
  ReportFolder folder(path);
  RunInfo info = run_info(list, shard);
  if (!commit.empty()) info.commit = commit;
  folder.describe(info, list);
  std::vector<Record> records;
  for (const Case& c : pick_shard(list, shard)) {
    folder.start(c);
    records.insert(records.begin(), unfinished(c, Verdict::pass, ""));
    records.front().o_sha256 = case_id(c.problem);
  }
  folder.finish(records, "");
  return path;
}

}  // namespace

TEST_CASE("merged shards hold each case of the list once, in its order") {
  const Scratch scratch;
  const auto list = list_of(50);
  std::vector<fs::path> folders;
  for (const char* shard : {"3/3", "1/3", "2/3"})
    folders.push_back(report(scratch.path / std::string(1, shard[0]), list, shard));
  const Merged merged = merge_folders(folders);
  CHECK(merged.missing == 0);
  CHECK(merged.list == list);
  CHECK(merged.started.size() == 50);
  CHECK(merged.info.shard.empty());
  CHECK(merged.info.cases == 50);
  REQUIRE(merged.records.size() == 50);
  for (std::size_t n = 0; n < list.size(); ++n) {
    CHECK(merged.records[n].which == list[n]);
    CHECK(merged.records[n].o_sha256 == case_id(list[n].problem));
    CHECK(merged.records[n].judgement.verdict == Verdict::pass);
  }
}

TEST_CASE("shards of different counts join where they make up the list") {
  const Scratch scratch;
  const auto list = list_of(40);
  CHECK(merge_folders({report(scratch.path / "a", list, "1/2"),
                       report(scratch.path / "b", list, "2/4"),
                       report(scratch.path / "c", list, "4/4")})
            .missing == 0);
}

TEST_CASE("cases that no folder has did not run, and their shard is named") {
  const Scratch scratch;
  const auto list = list_of(50);
  const Merged merged = merge_folders(
      {report(scratch.path / "a", list, "1/3"), report(scratch.path / "b", list, "3/3")});
  CHECK(merged.missing == pick_shard(list, "2/3").size());
  CHECK(merged.missing > 5);
  CHECK(merged.missing_shards == std::set<std::string>{"2/3"});
  for (const Record& record : merged.records) {
    const bool lacks = shard_like("1/3", record.which.problem) == "2/3";
    CHECK((record.judgement.verdict == Verdict::not_run) == lacks);
  }
}

TEST_CASE("what does not belong together is refused by name") {
  const Scratch scratch;
  const auto list = list_of(20);
  const auto one = report(scratch.path / "a", list, "1/2");
  const auto two = report(scratch.path / "b", list, "2/2");
  CHECK_THROWS_WITH(merge_folders({one, two, one}),
                    Catch::Contains("a case must be in one folder") && Catch::Contains("(1/2)"));
  CHECK_THROWS_WITH(
      merge_folders({one, report(scratch.path / "other", list, "2/2", "0123456789ab")}),
      Catch::Contains("one commit, got ") && Catch::Contains("0123456789ab in"));
  CHECK_THROWS_WITH(merge_folders({one, report(scratch.path / "less", list_of(19), "2/2")}),
                    Catch::Contains("one list, got 20 cases") && Catch::Contains("and 19 cases"));
  CHECK_THROWS_WITH(merge_folders({one, scratch.path / "absent"}),
                    Catch::Contains("absent/run.json must be readable"));
  CHECK_THROWS_AS(merge_folders({one, scratch.path / "absent"}), InfraError);
}

TEST_CASE("a folder whose run did not end or whose list was changed is refused") {
  const Scratch scratch;
  const auto list = list_of(20);
  const auto one = report(scratch.path / "a", list, "1/2");
  std::ofstream(one / "cases.txt", std::ios::app) << print(list.front()) << '\n';
  CHECK_THROWS_WITH(merge_folders({one}), Catch::Contains("cases.txt must have the hash"));
  const auto two = report(scratch.path / "b", list, "2/2");
  fs::rename(two / "results.jsonl", two / "results.jsonl.partial");
  CHECK_THROWS_WITH(merge_folders({two}), Catch::Contains("that of a run which did not end"));
  std::ofstream(two / "run.json") << "{}";
  CHECK_THROWS_WITH(merge_folders({two}), Catch::Contains("run info: "));
}

TEST_CASE("a record of a case that the list lacks is refused") {
  const Scratch scratch;
  const auto list = list_of(4);
  const auto folder = report(scratch.path / "a", list, "");
  std::ofstream(folder / "results.jsonl", std::ios::app)
      << to_json(unfinished(list_of(5).back(), Verdict::pass, "")) << '\n';
  CHECK_THROWS_WITH(merge_folders({folder}), Catch::Contains("a case must be in cases.txt"));
}

TEST_CASE("a dump is looked for in the folder of its record, wherever that is now") {
  const Scratch scratch;
  const auto list = list_of(2);
  const fs::path path = scratch.path / "a";
  ReportFolder folder(path);
  folder.describe(run_info(list, ""), list);
  std::vector<Record> records;
  for (const Case& c : list) records.push_back(unfinished(c, Verdict::fail, "off"));
  records[0].dump = "elsewhere/failures/first.h5";
  records[1].dump = "elsewhere/failures/second.h5";
  folder.finish(records, "");
  fs::create_directories(path / "failures");
  std::ofstream(path / "failures/first.h5") << "inputs";
  const Merged merged = merge_folders({path});
  CHECK(merged.records[0].dump == (path / "failures/first.h5").string());
  CHECK(merged.records[1].dump.empty());
  ReportFolder joined(scratch.path / "b");
  CHECK(joined.keep_dump(merged.records[0].dump) ==
        (scratch.path / "b/failures/first.h5").string());
  CHECK(fs::file_size(scratch.path / "b/failures/first.h5") == 6);
}
