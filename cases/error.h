#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace attest {

/// A rule was broken by what the user asked for: exit code 2.
/// The message reads `where: rule, got values; next step`.
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The world failed us (disk, device, a damaged file): exit code 3.
class InfraError : public Error {
  using Error::Error;
};

/// Joins its arguments as text, the way `<<` prints them.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

}  // namespace attest

/// Throws attest::Error with the joined parts unless `condition` holds. Stays on in release builds.
#define ATTEST_CHECK(condition, ...)                                        \
  do {                                                                      \
    if (!(condition)) throw ::attest::Error(::attest::concat(__VA_ARGS__)); \
  } while (false)
