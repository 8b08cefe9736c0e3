#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "harness/judge.h"

namespace attest {
namespace {

/// A number with up to `digits` significant digits. The sign of a NaN says nothing: "nan".
std::string text_of(double value, int digits) {
  return std::isnan(value) ? "nan" : fmt::format("{:.{}g}", value, digits);
}

/// The digits, six to nine, from which on two numbers show their difference within 5 %.
int digits_that_tell(double got, double want) {
  for (int digits = 6; digits < 9; ++digits) {
    const auto shown_as = [&](double value) {
      return std::strtod(text_of(value, digits).c_str(), nullptr);
    };
    const double shown = shown_as(got) - shown_as(want);
    if (!(std::abs(shown - (got - want)) > 0.05 * std::abs(got - want))) return digits;
  }
  return 9;
}

}  // namespace

std::string place_of(const Element& element) {
  const std::string_view letters = !element.letters.empty()    ? element.letters
                                   : element.tensor == "lse"   ? "bhi"
                                   : element.index.size() == 3 ? "bie"
                                                               : "bihd";
  std::string index;
  for (std::size_t axis = 0; axis < element.index.size() && axis < letters.size(); ++axis)
    index += fmt::format("{}{}={}", axis ? "," : "", letters[axis], element.index[axis]);
  return fmt::format("{}[{}]", element.tensor, index);
}

std::string print(const Element& element) {
  const double got = element.got, want = element.want, error = got - want;
  const bool finite = std::isfinite(error);
  const int digits = finite ? digits_that_tell(got, want) : 6;
  const std::string text = fmt::format("{} got {} want {}", place_of(element), text_of(got, digits),
                                       text_of(want, digits));
  if (got == want) return text;
  if (std::isfinite(want) && !finite) return text + ", must be finite";
  if (!finite) return fmt::format("{}, must be {}", text, want);
  if (element.bound == 0) return fmt::format("{} error {:.3g}, must be exact", text, error);
  return fmt::format("{} error {:.3g}, {:.4g} x bound {:.3g}", text, error,
                     std::abs(error) / element.bound, element.bound);
}

}  // namespace attest
