#pragma once

namespace attest {

/// A line of a kernel's source, for reports: the default argument of everything a thread can wait
/// in or be faulted for. (std::source_location would do; clang 14 has none.)
struct Place {
  const char* file = "";
  int line = 0;

#if defined(__CUDACC__)
  __host__ __device__
#endif
      static constexpr Place
      current(const char* file_ = __builtin_FILE(), int line_ = __builtin_LINE()) {
    return {file_, line_};
  }
};

}  // namespace attest
