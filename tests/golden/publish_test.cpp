#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <random>

#include "tests/golden/files.h"

using namespace golden_test;

namespace {

// Exit status of an action in a child process: what it returns, or 99 for an exception.
int in_child(const std::function<int()>& action) {
  const pid_t child = fork();
  if (child == 0) {
    int status = 99;
    try {
      status = action();
    } catch (const std::exception&) {
    }
    _exit(status);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Writes beyond `bytes` fail with EFBIG, much as with a full disk; the writer must see to it that
// the signal which comes first ends nobody.
void limit_file_size(rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_DFL);
  const rlimit limit{bytes, bytes};
  setrlimit(RLIMIT_FSIZE, &limit);
}

const std::string kLarge = "mha B=2 Sq=256 Sk=256 H=4 D=64 dtype=bf16";

}  // namespace

TEST_CASE("without publish nothing stays, and the old file keeps its bytes") {
  const Folder folder;
  write_bytes(folder / "a.h5", "old");
  {
    GoldenWriter writer(folder / "a.h5", kProvenance);
    writer.add(sample(kSmall));
    CHECK(folder.names() == std::vector<std::string>{concat(".a.h5.tmp.", getpid()), "a.h5"});
  }
  CHECK(folder.names() == std::vector<std::string>{"a.h5"});
  CHECK(bytes_of(folder / "a.h5") == "old");
}

TEST_CASE("publish replaces the old file while its readers keep what they opened") {
  const Folder folder;
  const StoredCase before = sample(kSmall), after = sample(kSmall + " seed=1");
  write(folder / "a.h5", {before});
  const GoldenFile reader(folder / "a.h5");
  write(folder / "a.h5", {after});
  CHECK(same(reader.read(case_id(before.problem)), before));
  CHECK(GoldenFile(folder / "a.h5").case_ids() == std::vector<std::string>{case_id(after.problem)});
}

TEST_CASE("two writers of one target do not meet; the last to publish wins") {
  const Folder folder;
  const StoredCase one = sample(kSmall), two = sample(kSmall + " seed=2");
  GoldenWriter first(folder / "a.h5", kProvenance), second(folder / "a.h5", kProvenance);
  first.add(one);
  second.add(two);
  second.publish();
  CHECK(GoldenFile(folder / "a.h5").contains(case_id(two.problem)));
  first.publish();
  CHECK(same(GoldenFile(folder / "a.h5").read(case_id(one.problem)), one));
  CHECK(folder.names() == std::vector<std::string>{"a.h5"});
}

TEST_CASE("a writer publishes once") {
  const Folder folder;
  GoldenWriter writer(folder / "a.h5", kProvenance);
  writer.add(sample(kSmall));
  writer.publish();
  CHECK(refuses([&] { writer.publish(); }, "got a writer that failed or has published"));
  CHECK(refuses([&] { writer.add(sample(kLarge)); }, "got a writer that failed or has published"));
}

TEST_CASE("a full disk is an error that leaves the old file and no temporary one") {
  const Folder folder;
  const StoredCase c = sample(kLarge);
  write(folder / "whole.h5", {c});
  const auto whole = fs::file_size(folder / "whole.h5");
  for (int percent : {0, 1, 10, 50, 90, 99}) {
    CAPTURE(percent);
    write_bytes(folder / "a.h5", "old");
    CHECK(in_child([&] {
            limit_file_size(whole * static_cast<rlim_t>(percent) / 100);
            try {
              write(folder / "a.h5", {c});
            } catch (const InfraError&) {
              return 7;
            }
            return 0;
          }) == 7);
    CHECK(bytes_of(folder / "a.h5") == "old");
    CHECK(folder.names() == std::vector<std::string>{"a.h5", "whole.h5"});
  }
}

TEST_CASE("a folder that is missing or closed is named") {
  CHECK(refuses([] { GoldenWriter writer("/nonexistent/a.h5", kProvenance); },
                "got `No such file or directory` from open of /nonexistent/.a.h5.tmp."));
}

TEST_CASE("what a full disk says is told without HDF5's addresses") {
  const Folder folder;
  const StoredCase c = sample(kLarge);
  CHECK(in_child([&] {
          limit_file_size(20000);
          const std::string part = "got `File too large` from ";
          return refuses([&] { write(folder / "a.h5", {c}); }, part) ? 7 : 0;
        }) == 7);
}

TEST_CASE("a golden that may not be read says so, in a closed folder too") {
  const Folder folder;
  fs::create_directory(folder / "closed");
  write(folder / "a.h5", {sample(kSmall)});
  write(folder / "closed" / "a.h5", {sample(kSmall)});
  fs::permissions(folder / "", fs::perms(0755));
  fs::permissions(folder / "a.h5", fs::perms::none);
  fs::permissions(folder / "closed", fs::perms::none);
  for (const fs::path& path : {folder / "a.h5", folder / "closed" / "a.h5"})
    CHECK(in_child([&] {
            if (geteuid() == 0 && setuid(65534) != 0) return 1;  // root may read everything
            const std::string part = "a.h5 must be readable, got `Permission denied`; check its";
            return refuses([&] { GoldenFile file(path); }, part) ? 7 : 0;
          }) == 7);
  fs::permissions(folder / "closed", fs::perms(0755));
}

TEST_CASE("a target that is no regular file stays what it is") {
  const Folder folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  fs::create_directory(folder / "folder");
  write_bytes(folder / "old.h5", "old");
  fs::create_symlink("old.h5", folder / "link");
  const std::vector<StoredCase> cases = {sample(kSmall)};
  for (const char* name : {"pipe", "link"})
    CHECK(refuses([&] { write(folder / name, cases); }, "got a link or a device; choose another"));
  CHECK(refuses([&] { write(folder / "folder", cases); }, "got a folder; choose another name"));
  CHECK(fs::is_fifo(folder / "pipe"));
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(bytes_of(folder / "old.h5") == "old");
  CHECK(folder.names() == std::vector<std::string>{"folder", "link", "old.h5", "pipe"});
}

TEST_CASE("a target without a name is a mistake, and is said at once") {
  const Folder folder;
  CHECK(refuses([] { GoldenWriter writer("", kProvenance); }, "must name a file"));
  CHECK(refuses([&] { GoldenWriter writer(folder / "", kProvenance); }, "must name a file"));
  CHECK(folder.names().empty());
}

TEST_CASE("a writer killed at any moment leaves the old file or the whole new one") {
  const Folder folder;
  const StoredCase old = sample(kSmall), fresh = sample(kLarge);
  std::mt19937 random(3);
  int killed_early = 0;
  for (int round = 0; round < 20; ++round) {
    write(folder / "a.h5", {old});
    const pid_t child = fork();
    if (child == 0) {
      for (;;) write(folder / "a.h5", {fresh});
    }
    usleep(static_cast<useconds_t>(random() % 60000));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const GoldenFile file(folder / "a.h5");
    const bool is_new = file.contains(case_id(fresh.problem));
    killed_early += !is_new;
    CHECK(same(file.read(file.case_ids().at(0)), is_new ? fresh : old));
  }
  INFO(killed_early);
  CHECK(killed_early < 20);  // else the writer never got as far as to publish
}
