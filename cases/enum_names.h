#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cases/error.h"

namespace attest {

/// The enumerator of this name; `names` are in the order of the enumerators, which count from 0.
/// Throws attest::Error that begins with `where` and lists the names.
template <class Enum>
Enum parse_enum(std::string_view where, std::span<const std::string_view> names,
                std::string_view text) {
  std::string known;
  for (std::size_t n = 0; n < names.size(); ++n) {
    if (names[n] == text) return static_cast<Enum>(n);
    known += concat(' ', names[n]);
  }
  throw Error(concat(where, ": must be one of", known, ", got ", text.empty() ? "nothing" : text));
}

}  // namespace attest
