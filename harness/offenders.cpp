#include "harness/offenders.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "cases/error.h"

namespace attest {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Bound that a check asks of an element; 0 for the checks that ask for equality.
double bound_of(const ComparedRow& row, Check check, Index d) {
  if (d < 0) {
    if (row.empty || check == Check::nonfinite) return 0;
    return check == Check::lse_stat ? row.lse_bounds.stat : row.lse_bounds.hard;
  }
  if (row.empty || check == Check::nonfinite || check == Check::exact) return 0;
  const auto k = static_cast<std::size_t>(d);
  return check == Check::stat_bound ? row.stat_bound[k] : row.hard_bound[k];
}

/// error / bound where the check refuses the element (d = -1: of lse), else a negative number.
/// What has the wrong class or must be exact is infinitely wrong.
double refused(const ComparedRow& row, Check check, Index d) {
  const bool of_lse = d < 0;
  const std::uint8_t state = of_lse ? row.lse_state : row.state[static_cast<std::size_t>(d)];
  if (check == Check::nonfinite) return state == kWrongClass ? kInfinity : -1;
  if (check == Check::exact) return state == kNotExact ? kInfinity : -1;
  if (row.empty || of_lse != is_of_lse(check)) return -1;
  const double error = std::abs(of_lse ? row.lse_error : row.error[static_cast<std::size_t>(d)]);
  const double bound = bound_of(row, check, d);
  return error <= bound ? -1 : error / bound;
}

Element element_of(const ComparedRow& row, Check check, Index d) {
  const double bound = bound_of(row, check, d);
  if (d < 0) return {"lse", {row.b, row.h, row.i}, row.lse_got, row.lse_want, bound};
  const auto k = static_cast<std::size_t>(d);
  return {"o", {row.b, row.i, row.h, d}, row.got[k], row.empty ? 0 : row.want[k], bound};
}

/// Failing elements along one axis.
struct Axis {
  std::string_view noun, plural, letter;
  std::vector<Index> failing;

  /// "head h=3" or "rows i >= 64" where failures keep to a part of the axis, else empty.
  std::string part() const {
    const auto extent = static_cast<Index>(failing.size());
    const auto hit = [](Index count) { return count > 0; };
    const Index first = std::find_if(failing.begin(), failing.end(), hit) - failing.begin();
    const Index last =
        extent - 1 - (std::find_if(failing.rbegin(), failing.rend(), hit) - failing.rbegin());
    if (extent < 2 || first > last || (first == 0 && last == extent - 1)) return "";
    if (first == last) return concat(noun, ' ', letter, '=', first);
    if (last == extent - 1) return concat(plural, ' ', letter, " >= ", first);
    if (first == 0) return concat(plural, ' ', letter, " <= ", last);
    return concat(plural, ' ', letter, '=', first, "..", last);
  }
};

/// What a check refuses of one tensor.
struct Refused {
  std::string_view tensor;
  Index failing = 0, total;
  std::vector<Axis> axes;

  void add(std::initializer_list<Index> place) {
    ++failing;
    auto axis = axes.begin();
    for (const Index index : place) ++(axis++)->failing[static_cast<std::size_t>(index)];
  }

  /// "every element", "only head h=3, rows i >= 64", "none", or empty.
  std::string hint() const {
    if (failing == 0) return "none";
    if (failing == total) return total > 1 ? "every element" : "";
    std::string text;
    for (const Axis& axis : axes)
      if (const std::string part = axis.part(); !part.empty())
        text += concat(text.empty() ? "only " : ", ", part);
    return text;
  }
};

/// Of a check that asks both tensors: "every element of o; none of lse", "only head h=3".
std::string hint_of(const Refused& o, const Refused& lse) {
  const std::string of_o = o.hint(), of_lse = lse.hint();
  if (of_o == of_lse) return of_o == "every element" ? "every element of o and lse" : of_o;
  std::string text;
  for (const auto& [hint, tensor] : {std::pair{of_o, o.tensor}, {of_lse, lse.tensor}})
    if (!hint.empty()) text += concat(text.empty() ? "" : "; ", hint, " of ", tensor);
  return text;
}

}  // namespace

Offenders find_offenders(const Problem& p, const Truth& truth, const Descriptor& descriptor,
                         const TensorSet& outputs, bool exact, Check check) {
  const auto axis = [](std::string_view noun, std::string_view plural, std::string_view letter,
                       Index extent) {
    return Axis{noun, plural, letter, std::vector<Index>(static_cast<std::size_t>(extent))};
  };
  const Axis b = axis("batch entry", "batch entries", "b", p.B), i = axis("row", "rows", "i", p.Sq),
             h = axis("head", "heads", "h", p.H), channel = axis("channel", "channels", "d", p.Dv);
  const Index rows = p.B * p.Sq * p.H;
  Refused o{.tensor = "o", .total = rows * p.Dv, .axes = {b, i, h, channel}};
  Refused lse{.tensor = "lse", .total = rows, .axes = {b, i, h}};
  RowReader reader(p, truth, descriptor, outputs, exact);
  WorstList worst;
  Offenders found;
  for (Index n = 0; n < rows; ++n) {
    const ComparedRow& row = reader.read(n);
    for (Index d = -1; d < p.Dv; ++d) {
      const double ratio = refused(row, check, d);
      if (ratio < 0) continue;
      worst.add({ratio, n, d});
      if (d < 0)
        lse.add({row.b, row.i, row.h});
      else
        o.add({row.b, row.i, row.h, d});
    }
  }
  const bool both = check == Check::nonfinite || check == Check::exact;
  const Refused& asked = o.failing > 0 ? o : lse;
  found.failing = o.failing + lse.failing;
  found.total = both ? o.total + lse.total : asked.total;
  found.hint = both ? hint_of(o, lse) : asked.hint();
  for (const Offender& offender : worst.list())
    found.worst.push_back(element_of(reader.read(offender.row), check, offender.d));
  return found;
}

std::vector<Element> read_elements(const Problem& p, const Truth& truth,
                                   const Descriptor& descriptor, const TensorSet& outputs,
                                   const std::vector<Offender>& list) {
  RowReader reader(p, truth, descriptor, outputs, false);
  std::vector<Element> elements;
  for (const Offender& offender : list)
    elements.push_back(element_of(reader.read(offender.row), Check::hard_bound, offender.d));
  return elements;
}

}  // namespace attest
