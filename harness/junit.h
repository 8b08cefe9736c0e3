#pragma once

#include <string>
#include <vector>

#include "harness/record.h"

namespace attest {

/// JUnit XML: one testsuite per variant and kernel, one testcase per record. A failing one carries
/// the message, the worst elements (b, i, h, d) with got / want / error / bound, and the command
/// that runs it again; one that passed with a warning, the warning in <system-out>.
std::string junit_report(const std::vector<Record>&);

}  // namespace attest
