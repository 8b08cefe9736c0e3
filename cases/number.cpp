#include "cases/number.h"

#include <array>
#include <charconv>
#include <cmath>

#include "cases/error.h"

namespace attest {

std::string shortest(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value + 0.0).ptr;
  return std::string(buffer.data(), end);
}

double parse_number(std::string_view where, std::string_view key, std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  ATTEST_CHECK(error == std::errc() && end == text.data() + text.size() && std::isfinite(value),
               where, ": ", key, " must be a finite number, got ", key, ":", text);
  return value;
}

}  // namespace attest
