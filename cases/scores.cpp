#include "cases/scores.h"

#include <array>

#include "cases/case.h"
#include "cases/enum_names.h"
#include "cases/error.h"

namespace attest {
namespace {

constexpr std::array<std::string_view, 3> kMasks = {"none", "causal", "causal_top_left"};
constexpr std::array<std::string_view, 5> kPerPair = {"none", "shared", "batch", "head", "full"};
constexpr std::array<std::string_view, 3> kSinks = {"none", "one", "learned"};

}  // namespace

std::string_view name(Mask mask) { return kMasks[static_cast<std::size_t>(mask)]; }
std::string_view name(PerPair axes) { return kPerPair[static_cast<std::size_t>(axes)]; }
std::string_view name(Sink sink) { return kSinks[static_cast<std::size_t>(sink)]; }
Mask parse_mask(std::string_view text) { return parse_enum<Mask>("mask", kMasks, text); }
Sink parse_sink(std::string_view text) { return parse_enum<Sink>("sink", kSinks, text); }
PerPair parse_per_pair(std::string_view key, std::string_view text) {
  return parse_enum<PerPair>(key, kPerPair, text);
}

std::string print(const Window& window) {
  return window == Window{} ? "none" : concat(window.left, ',', window.right);
}

Window parse_window(std::string_view text) {
  if (text == "none") return {};
  const std::size_t comma = text.find(',');
  ATTEST_CHECK(comma != std::string_view::npos,
               "window: must be none or left,right such as 127,0, got ", text);
  constexpr Index kMost = Index{1} << 24;  // keys of a problem
  return {parse_integer("window", "left", text.substr(0, comma), -1, kMost),
          parse_integer("window", "right", text.substr(comma + 1), -1, kMost)};
}

}  // namespace attest
