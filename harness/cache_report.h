#pragma once

#include <string>
#include <vector>

#include "cases/accounting.h"

namespace attest {

/// What known and made-up models cache, a row each, with the ratios that matter.
std::string cache_table(const std::vector<Preset>&);

/// Sizes, parameters and operations of one model.
std::string cache_report(const Preset&, const CacheExtent&);

/// A line for each preset: dimensions, source, whether verified.
std::string preset_list(const std::vector<Preset>&);

/// `9 MiB`, `640 MiB`, `1.125 KiB`, `77 B`: in the largest binary unit that is at most the value,
/// rounded to three decimals.
std::string binary_size(Index bytes);

}  // namespace attest
