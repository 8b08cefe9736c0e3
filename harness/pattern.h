#pragma once

#include <string>
#include <vector>

#include "harness/record.h"

namespace attest {

/// What the failing cases (FAIL, CRASH) have in common that passing ones lack, as one line:
///
///     all 80 failures have kernel=decode, mask=causal or causal_top_left; none of 339 passing
///     cases has both
///
/// A key (variant, kernel, dtype, mask, fill, D/Dv, splits, schedule, R, Sq against Sk) is named
/// where as few of its values would hardly (1 in 100) hold as many failures by chance; the key that
/// sets most passing cases apart comes first. Empty where nothing tells them apart.
std::string failure_pattern(const std::vector<Record>&);

}  // namespace attest
