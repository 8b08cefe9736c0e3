#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

#include "tests/catch.h"

struct Result {
  int exit_code;
  std::string output;  // stdout and stderr
};

/// Runs a command line and waits for its end. Exit code 128: a signal ended it.
inline Result shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  Result result{-1, ""};
  char buffer[4096];
  while (std::fgets(buffer, sizeof buffer, pipe)) result.output += buffer;
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return result;
}
