#include "harness/progress.h"

#include <unistd.h>

#include <iostream>

namespace attest {
namespace {

constexpr std::size_t kNamed = 10;  // failures by name; the others only count

}  // namespace

Progress::Progress(std::size_t total) : total_(total), terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::show(const Record& record) {
  ++ended_;
  const Verdict verdict = record.judgement.verdict;
  if (verdict != Verdict::pass && verdict != Verdict::skip && verdict != Verdict::xfail &&
      verdict != Verdict::not_run) {
    if (++bad_ <= kNamed) {
      clear();
      std::cerr << verdict_of(record) << "  " << print(record.which) << '\n';
    }
  }
  using namespace std::chrono_literals;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < (terminal_ ? 100ms : 10s) && !(terminal_ && ended_ == total_)) return;
  last_ = now;
  std::cerr << (terminal_ ? "\r" : "") << ended_ << " of " << total_ << " cases, " << bad_
            << " not passed" << (terminal_ ? "" : "\n") << std::flush;
}

void Progress::clear() {
  if (terminal_) std::cerr << "\r\x1b[K" << std::flush;
}

}  // namespace attest
