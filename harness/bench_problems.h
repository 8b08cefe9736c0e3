#pragma once

#include <string>
#include <vector>

#include "cases/case.h"

namespace attest {

/// Case strings that the kernels of a backend are timed on. On a GPU, shapes that others have
/// published figures for; in the emulator, small ones that keep every warp of a kernel busy.
std::vector<std::string> bench_problems(Backend);

}  // namespace attest
