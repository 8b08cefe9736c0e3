#pragma once

#include <string>
#include <string_view>

namespace attest {

/// The shortest decimal text that reads back equal; minus zero prints like zero, its equal.
std::string shortest(double);

/// A finite decimal number; throws attest::Error that names `where` and `key`.
double parse_number(std::string_view where, std::string_view key, std::string_view text);

}  // namespace attest
