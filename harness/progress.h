#pragma once

#include <chrono>
#include <cstddef>

#include "harness/record.h"

namespace attest {

/// Progress of a run on stderr: one line that renews itself on a terminal, else a line every ten
/// seconds; the first ten cases that fail are named at once.
class Progress {
 public:
  explicit Progress(std::size_t total);
  void show(const Record&);
  void clear();  ///< removes the renewing line

 private:
  std::size_t total_, ended_ = 0, bad_ = 0;
  bool terminal_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace attest
