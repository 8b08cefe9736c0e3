#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/program/shell.h"

namespace fs = std::filesystem;

inline const std::string kPython = "/usr/bin/python3";
inline const std::string kGolden = ATTEST_SOURCE_DIR "/golden/core.h5";

/// A folder that goes away, with a script that writes candidates there. Its arguments: golden,
/// candidate, what to get wrong, and the folders golden/python and tests/golden.
struct Candidates {
  fs::path folder;

  explicit Candidates(const char* script) {
    std::string name = (fs::temp_directory_path() / "attest-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    folder = name;
    std::ofstream(folder / "script.py") << script;
  }
  ~Candidates() { fs::remove_all(folder); }

  std::string operator/(const std::string& name) const { return (folder / name).string(); }

  std::string write(const std::string& mistake) const {
    const Result result =
        shell("PYTHONDONTWRITEBYTECODE=1 " + kPython + " " + *this / "script.py" + " " + kGolden +
              " " + *this / "mine.h5" + " " + mistake + " " ATTEST_SOURCE_DIR "/golden/python" +
              " " ATTEST_SOURCE_DIR "/tests/golden");
    INFO(result.output);
    REQUIRE(result.exit_code == 0);
    return *this / "mine.h5";
  }
};

inline bool has_python() {
  if (shell(kPython + " -c 'import h5py, numpy'").exit_code == 0) return true;
  WARN("skipped: " << kPython << " has no h5py and numpy");
  return false;
}

inline Result compare(const std::string& arguments) {
  return shell(ATTEST_PROGRAM " compare " + arguments);
}
