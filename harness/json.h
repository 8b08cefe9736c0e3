#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "cases/error.h"

namespace attest {

using Json = nlohmann::ordered_json;

/// A number; infinities and NaN, which JSON lacks, as the strings "inf" "-inf" "nan".
inline Json number(double value) {
  if (std::isfinite(value)) return value;
  if (std::isnan(value)) return "nan";
  return value > 0 ? "inf" : "-inf";
}

inline double number(const Json& json) {
  if (json.is_number()) return json.get<double>();
  const std::string text = json.get<std::string>();
  if (text == "nan" || text == "inf" || text == "-inf") return std::stod(text);
  throw InfraError(concat("json: a number must be a number, inf, -inf or nan, got ", text));
}

}  // namespace attest
