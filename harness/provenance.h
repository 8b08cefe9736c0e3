#pragma once

#include <string>

#include "golden/golden_file.h"

namespace attest {

/// Who wrote a file: this build, its compiler and instruction set, and the command that did it.
Provenance provenance(const std::string& command);

}  // namespace attest
