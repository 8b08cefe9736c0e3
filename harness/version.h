#pragma once

#include <string_view>

namespace attest {

std::string_view version();    ///< of the suite, such as "0.1.0"
std::string_view commit();     ///< `git describe --always --dirty` at build time, or "unknown"
std::string_view toolchain();  ///< compiler and build type, such as "GNU 12.2.0 Release"

}  // namespace attest
