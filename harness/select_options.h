#pragma once

#include <string>

#include "harness/selection.h"

namespace CLI {
class App;
}

namespace attest {

/// The options by which `list`, `run` and `golden generate` choose cases.
struct SelectOptions {
  Selection selection;
  std::string kernels, backends = "emu", seed, schedule;  // as typed

  void add_to(CLI::App&, bool how_to_run);

  /// The selection with the typed options read. Throws attest::Error for a bad value.
  Selection resolve() const;
};

/// The words between commas.
std::vector<std::string> split_commas(const std::string&);

}  // namespace attest
