#pragma once

#include <string>
#include <vector>

#include "harness/record.h"

namespace attest {

/// JUnit XML: one testsuite per variant and kernel, one testcase per record. A failing one carries
/// the message, the worst elements (b, i, h, d) with got / want / bound, and the command that runs
/// it again.
std::string junit_report(const std::vector<Record>&);

}  // namespace attest
