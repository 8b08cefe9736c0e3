#pragma once

#include "reference/task.h"

namespace attest::reference::ATTEST_ISA {

#define ATTEST_VARIANT(name) void name(const Task&);
#include "cases/variants.def"

}  // namespace attest::reference::ATTEST_ISA
