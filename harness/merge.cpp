#include "harness/merge.h"

#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "cases/error.h"
#include "cases/sha256.h"
#include "harness/selection.h"

namespace attest {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path;
  RunInfo info;

  std::string name() const {
    return info.shard.empty() ? path.string() : concat(path.string(), " (", info.shard, ')');
  }
};

std::string read(const fs::path& path, std::string_view next_step) {
  std::ifstream file(path);
  if (!file.is_open() || fs::is_directory(path))
    throw InfraError(
        concat("merge: ", path.string(), " must be readable, got no such file; ", next_step));
  return {std::istreambuf_iterator<char>(file), {}};
}

Folder open_folder(const fs::path& path) {
  const Folder folder{path, parse_run_info(read(path / "run.json",
                                                "name a folder that attest run --report filled"))};
  if (!fs::exists(path / "results.jsonl"))
    throw InfraError(concat(
        "merge: ", folder.name(), " must hold results.jsonl, got ",
        fs::exists(path / "results.jsonl.partial") ? "that of a run which did not end" : "none",
        "; run this shard again"));
  return folder;
}

std::string list_name(const RunInfo& info) {
  return concat(info.cases, " cases with hash ", info.list_sha256.substr(0, 12));
}

void require_same_run(const Folder& first, const Folder& other) {
  ATTEST_CHECK(first.info.commit == other.info.commit,
               "merge: all folders must be of one commit, got ", first.info.commit, " in ",
               first.name(), " and ", other.info.commit, " in ", other.name(),
               "; run them again with one build");
  ATTEST_CHECK(first.info.list_sha256 == other.info.list_sha256,
               "merge: all folders must be of one list, got ", list_name(first.info), " in ",
               first.name(), " and ", list_name(other.info), " in ", other.name(),
               "; compare their cases.txt, run them again with the same cases and options");
}

std::vector<Case> read_cases(const std::string& text) {
  std::vector<Case> cases;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) cases.push_back(parse_case(line));
  return cases;
}

std::vector<Case> read_list(const Folder& folder) {
  const std::string text = read(folder.path / "cases.txt", "run this shard again");
  if (sha256(text) != folder.info.list_sha256)
    throw InfraError(concat("merge: ", folder.name(),
                            ": cases.txt must have the hash that run.json names, got another; run "
                            "this shard again"));
  return read_cases(text);
}

// The records of all folders by case.
class Records {
 public:
  explicit Records(const std::vector<Case>& list) {
    for (const Case& c : list) listed_.insert(print(c));
  }

  void add(const Folder& folder, Record record) {
    const std::string text = print(record.which);
    ATTEST_CHECK(listed_.contains(text), "merge: ", folder.name(),
                 ": a case must be in cases.txt, got ", text);
    if (!record.dump.empty()) record.dump = find_dump(folder, record.dump);
    const auto [place, is_new] = records_.try_emplace(text, std::move(record), &folder);
    ATTEST_CHECK(is_new, "merge: a case must be in one folder, got ", text, " in ",
                 place->second.second->name(), " and ", folder.name(), "; name each shard once");
  }

  const Record* find(const Case& c) const {
    const auto found = records_.find(print(c));
    return found == records_.end() ? nullptr : &found->second.first;
  }

 private:
  // The folder may have moved since. Empty where only the report came here, not its dumps.
  static std::string find_dump(const Folder& folder, const fs::path& dump) {
    const fs::path here = folder.path / "failures" / dump.filename();
    return fs::exists(here) ? here.string() : "";
  }

  std::set<std::string> listed_;
  std::map<std::string, std::pair<Record, const Folder*>> records_;
};

// For the cases that no folder has.
void add_missing(Merged& merged, const Case& c, std::string_view like) {
  const std::string shard = shard_like(like, c.problem);
  if (!shard.empty()) merged.missing_shards.insert(shard);
  ++merged.missing;
  merged.records.push_back(unfinished(
      c, Verdict::not_run,
      concat("merge: no folder has this case", shard.empty() ? "" : ", of shard ", shard)));
}

}  // namespace

Merged merge_folders(const std::vector<fs::path>& paths) {
  std::vector<Folder> folders;
  for (const fs::path& path : paths) {
    folders.push_back(open_folder(path));
    require_same_run(folders.front(), folders.back());
  }
  Merged merged{.info = folders.front().info, .list = read_list(folders.front())};
  merged.info.shard.clear();
  Records records(merged.list);
  for (const Folder& folder : folders) {
    std::istringstream lines(read(folder.path / "results.jsonl", ""));
    for (std::string line; std::getline(lines, line);) records.add(folder, parse_record(line));
    const std::vector<Case> started = read_cases(read(folder.path / "journal.txt", ""));
    merged.started.insert(merged.started.end(), started.begin(), started.end());
  }
  for (const Case& c : merged.list)
    if (const Record* record = records.find(c))
      merged.records.push_back(*record);
    else
      add_missing(merged, c, folders.front().info.shard);
  return merged;
}

}  // namespace attest
