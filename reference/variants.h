#pragma once

#include "reference/linear.h"
#include "reference/task.h"

namespace attest::reference::ATTEST_ISA {

#define ATTEST_VARIANT(name) void name(const Task&);
#include "cases/variants.def"

bool linear(const Linear&);  ///< false for an infinity or NaN in w

}  // namespace attest::reference::ATTEST_ISA
