#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <set>

#include "cases/covering.h"
#include "cases/error.h"
#include "cases/matrix.h"
#include "cases/number.h"

namespace attest {
namespace {

constexpr int kFree = -1;
constexpr std::size_t kMaxScope = 1 << 20;  // combinations that one exclusion may look at

int axis_of(const Block& block, std::string_view key) {
  for (std::size_t a = 0; a < block.axes.size(); ++a)
    if (const auto& keys = block.axes[a].keys;
        std::find(keys.begin(), keys.end(), key) != keys.end())
      return static_cast<int>(a);
  return kFree;
}

// The axes that decide the value of a key. Those of derived keys: H = R * G, G = H in mha and 1 in
// mqa, R = H / G, Dv = D.
std::set<int> scope_of(const Block& block, std::string_view key) {
  if (const int axis = axis_of(block, key); axis != kFree) return {axis};
  std::set<int> scope;
  const auto add = [&](std::string_view other) {
    if (const int axis = axis_of(block, other); axis != kFree) scope.insert(axis);
  };
  if (key == "Dv" || key == "Dn") add("D");
  if (key == "H") add("R");
  if (key == "R" && block.variant != Variant::mha) add("H");
  if (block.variant == Variant::mla && (key == "G" || key == "R" || key == "Dv" || key == "Dn"))
    for (std::string_view other : {"form", "H", "D", "Dr", "level"}) add(other);
  if (key == "G" && block.variant == Variant::mha) add("H");
  if ((key == "H" || key == "R") && block.variant == Variant::gqa) add("G");
  return scope;
}

template <class T>
bool holds(std::string_view op, const T& left, const T& right) {
  if (op == "==") return left == right;
  if (op == "!=") return left != right;
  if (op == "<") return left < right;
  if (op == "<=") return left <= right;
  return op == ">" ? left > right : left >= right;
}

bool holds(const Case& c, const Comparison& comparison) {
  const std::string left = value_of(c, comparison.left);
  const std::string right =
      comparison.right_is_key ? value_of(c, comparison.right) : comparison.right;
  const auto number = [](const std::string& text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  if (comparison.op == "==" || comparison.op == "!=") return holds(comparison.op, left, right);
  return holds(comparison.op, number(left), number(right));
}

Constraint constraint_of(const Block& block, const Exclusion& exclusion) {
  std::set<int> scope;
  for (const Comparison& comparison : exclusion.all) {
    scope.merge(scope_of(block, comparison.left));
    if (comparison.right_is_key) scope.merge(scope_of(block, comparison.right));
  }
  ATTEST_CHECK(!scope.empty(), exclusion.where,
               ": an exclusion must depend on an axis, got one that always or never holds");
  Constraint result{{scope.begin(), scope.end()}, {}};
  std::size_t count = 1;
  for (int axis : scope) count *= block.axes[static_cast<std::size_t>(axis)].values.size();
  ATTEST_CHECK(count <= kMaxScope, exclusion.where, ": an exclusion must look at no more than ",
               kMaxScope, " combinations of values, got ", count, "; split it");
  for (std::size_t number = 0; number < count; ++number) {
    Assignment row(block.axes.size(), kFree);
    std::size_t rest = number;
    for (auto axis = result.axes.rbegin(); axis != result.axes.rend(); ++axis) {
      const std::size_t size = block.axes[static_cast<std::size_t>(*axis)].values.size();
      row[static_cast<std::size_t>(*axis)] = static_cast<int>(rest % size);
      rest /= size;
    }
    const Case c = case_of(block, row);
    result.forbidden.push_back(
        std::all_of(exclusion.all.begin(), exclusion.all.end(),
                    [&](const Comparison& comparison) { return holds(c, comparison); }));
  }
  return result;
}

void check_values_occur(const Block& block, const std::vector<Assignment>& rows) {
  for (std::size_t a = 0; a < block.axes.size(); ++a) {
    std::vector<char> seen(block.axes[a].values.size(), 0);
    for (const Assignment& row : rows) seen[static_cast<std::size_t>(row[a])] = 1;
    const auto absent = std::find(seen.begin(), seen.end(), 0);
    if (absent == seen.end()) continue;
    std::string text;
    const auto& axis = block.axes[a];
    const auto& value = axis.values[static_cast<std::size_t>(absent - seen.begin())];
    for (std::size_t k = 0; k < axis.keys.size(); ++k)
      text += concat(k ? " " : "", axis.keys[k], '=', value[k]);
    throw Error(concat(axis.where, ": every value must occur in a case, got none with ", text,
                       "; remove the value or the exclusion that rules it out"));
  }
}

}  // namespace

std::string value_of(const Case& c, std::string_view key) {
  const Problem& p = c.problem;
  const std::array<std::pair<std::string_view, Index>, 16> numbers = {
      {{"B", p.B},
       {"Sq", p.Sq},
       {"Sk", p.Sk},
       {"H", p.H},
       {"G", p.G},
       {"R", p.G > 0 ? p.H / p.G : 0},
       {"D", p.D},
       {"Dv", p.Dv},
       {"Dn", p.Dn},
       {"Dr", p.Dr},
       {"page", p.page},
       {"E", p.layer.E},
       {"L", p.layer.L},
       {"Lq", p.layer.Lq},
       {"tp", p.layer.tp},
       {"splits", c.run.splits}}};
  for (const auto& [known, value] : numbers)
    if (known == key) return std::to_string(value);
  if (key == "seed") return std::to_string(p.seed);
  if (key == "schedule") return std::to_string(c.run.schedule);
  if (key == "dtype") return std::string(name(p.dtype));
  if (key == "kv") return p.kv ? std::string(name(*p.kv)) : "dtype";
  if (key == "form") return std::string(name(p.form));
  if (key == "rope") return print(p.rope);
  if (key == "layout") return std::string(name(p.layout));
  if (key == "level") return std::string(name(p.level));
  if (key == "norm") return std::string(name(p.layer.norm));
  if (key == "bias") return std::string(name(p.layer.bias));
  if (key == "gate") return p.layer.gate ? "1" : "0";
  if (key == "eps") return shortest(p.layer.eps);
  if (key == "window") return print(p.window);
  if (key == "alibi") return p.alibi ? "1" : "0";
  if (key == "attn_bias") return std::string(name(p.attn_bias));
  if (key == "attn_mask") return std::string(name(p.attn_mask));
  if (key == "sink") return std::string(name(p.sink));
  if (key == "scale") return shortest(p.scale);
  if (key == "softcap") return shortest(p.softcap);
  if (key == "lens") return p.lens.empty() ? "all" : print_lens(p.lens);
  if (key == "mask") return std::string(name(p.mask));
  if (key == "fill") return std::string(name(p.fill));
  if (key == "kernel") return c.run.kernel;
  throw Error(concat("case: must have a value for the key, got ", key));
}

Case case_of(const Block& block, const Assignment& row) {
  Case c;
  c.problem.variant = block.variant;
  Index ratio = 0;  // R, where given
  Given given{.G = block.variant == Variant::gqa};
  for (std::size_t a = 0; a < block.axes.size(); ++a) {
    if (row[a] < 0) continue;
    const Axis& axis = block.axes[a];
    for (std::size_t k = 0; k < axis.keys.size(); ++k) {
      const std::string& value = axis.values[static_cast<std::size_t>(row[a])][k];
      if (axis.keys[k] == "R") {
        ratio = std::stoll(value);
      } else {
        set_key(c, axis.where, axis.keys[k], value);
        given.Dv = given.Dv || axis.keys[k] == "Dv";
        given.Dn = given.Dn || axis.keys[k] == "Dn";
      }
    }
  }
  Problem& p = c.problem;
  if (ratio > 0) p.H = ratio * p.G;
  derive(p, given);
  return c;
}

Space space_of(const Block& block) {
  Space space;
  for (const Axis& axis : block.axes) space.sizes.push_back(static_cast<int>(axis.values.size()));
  for (const Exclusion& exclusion : block.exclude)
    space.constraints.push_back(constraint_of(block, exclusion));
  return space;
}

std::vector<Case> cases(const Block& block) {
  const Space space = space_of(block);
  const std::vector<Assignment> rows = block.coverage == Coverage::product    ? product(space)
                                       : block.coverage == Coverage::pairwise ? pairwise(space)
                                                                              : triplewise(space);
  check_values_occur(block, rows);
  std::vector<Case> result;
  for (const Assignment& row : rows) {
    result.push_back(case_of(block, row));
    try {
      validate(result.back().problem);
    } catch (const Error& error) {
      throw Error(concat(block.where, ": every case must be a valid problem, got ",
                         print(result.back()), " (", error.what(), "); exclude it"));
    }
  }
  ATTEST_CHECK(block.expect == 0 || std::ssize(result) == block.expect, block.expect_where,
               ": expect must be the number of ", "cases, declared ", block.expect, ", got ",
               result.size(), "; correct expect if the change is meant");
  return result;
}

}  // namespace attest
