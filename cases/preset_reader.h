#pragma once

#include "cases/preset.h"
#include "cases/yaml.h"

namespace attest {

/// One map of a preset file. Throws attest::Error as parse_presets() says.
Preset read_preset(const YamlNode&);

}  // namespace attest
