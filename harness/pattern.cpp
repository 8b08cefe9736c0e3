#include "harness/pattern.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "cases/error.h"

namespace attest {
namespace {

constexpr double kChance = 0.01;

struct Key {
  std::string_view name;
  std::string (*value)(const Case&);
};

std::string order_of_lengths(const Case& c) {
  const Problem& p = c.problem;
  return p.Sq == 1 ? "1" : p.Sq < p.Sk ? "2..Sk-1" : p.Sq == p.Sk ? "Sk" : ">Sk";
}

const Key kKeys[] = {
    {"variant", [](const Case& c) { return std::string(name(c.problem.variant)); }},
    {"kernel", [](const Case& c) { return c.run.kernel; }},
    {"dtype", [](const Case& c) { return std::string(name(c.problem.dtype)); }},
    {"kv",
     [](const Case& c) {
       return std::string(c.problem.kv ? name(*c.problem.kv) : std::string_view("dtype"));
     }},
    {"mask", [](const Case& c) { return std::string(name(c.problem.mask)); }},
    {"fill", [](const Case& c) { return std::string(name(c.problem.fill)); }},
    {"D/Dv", [](const Case& c) { return concat(c.problem.D, '/', c.problem.Dv); }},
    {"splits", [](const Case& c) { return concat(c.run.splits); }},
    {"schedule", [](const Case& c) { return concat(c.run.schedule); }},
    {"R", [](const Case& c) { return concat(c.problem.H / c.problem.G); }},
    {"Sq", order_of_lengths},
};

using Cases = std::vector<const Case*>;
using Values = std::set<std::string>;

Values values_of(const Key& key, const Cases& cases) {
  Values values;
  for (const Case* c : cases) values.insert(key.value(*c));
  return values;
}

/// Chance that `failures` cases, drawn from all, keep to some `named` of `values` values that hold
/// the share `share` of all cases: one choice of values, times how many there are; may exceed 1.
double chance(std::size_t values, std::size_t named, double share, std::size_t failures) {
  const auto log_factorial = [](std::size_t n) { return std::lgamma(static_cast<double>(n) + 1); };
  return std::exp(log_factorial(values) - log_factorial(named) - log_factorial(values - named) +
                  static_cast<double>(failures) * std::log(share));
}

/// A key that failing cases share a part of.
struct Part {
  const Key* key = nullptr;
  Values failing, others;  ///< values of the failing cases; those that passing cases have besides
  Cases left;              ///< passing cases with a value of `failing`
};

Part part_of(const Key& key, const Cases& failing, const Cases& passing) {
  Part part{&key, values_of(key, failing), values_of(key, passing), {}};
  for (const std::string& value : part.failing) part.others.erase(value);
  for (const Case* c : passing)
    if (part.failing.contains(key.value(*c))) part.left.push_back(c);
  return part;
}

bool tells(const Part& part, std::size_t failing, std::size_t passing) {
  if (part.others.empty()) return false;
  const double share =
      static_cast<double>(failing + part.left.size()) / static_cast<double>(failing + passing);
  const std::size_t named = part.failing.size();
  return chance(named + part.others.size(), named, share, failing) < kChance;
}

std::string join(const Values& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : " or ") + value;
  return text;
}

/// "mask=causal or causal_top_left", or "fill other than needle" where that is shorter.
std::string print(const Part& part) {
  const bool few = part.failing.size() <= std::max<std::size_t>(3, part.others.size());
  return concat(part.key->name, few ? "=" : " other than ", join(few ? part.failing : part.others));
}

}  // namespace

std::string failure_pattern(const std::vector<Record>& records) {
  Cases failing, passing;
  for (const Record& record : records) {
    const Verdict verdict = record.judgement.verdict;
    if (verdict == Verdict::fail || verdict == Verdict::crash) failing.push_back(&record.which);
    if (verdict == Verdict::pass) passing.push_back(&record.which);
  }
  if (failing.empty()) return "";
  const std::size_t passed = passing.size();
  std::string text;
  for (;;) {
    Part best;
    for (const Key& key : kKeys) {
      Part part = part_of(key, failing, passing);
      if (!tells(part, failing.size(), passing.size())) continue;
      if (!best.key || part.left.size() < best.left.size()) best = std::move(part);
    }
    if (!best.key) break;
    text += (text.empty() ? "" : ", ") + print(best);
    passing = std::move(best.left);
  }
  if (text.empty()) return "";
  return concat("all ", failing.size(), " failures have ", text, "; of ", passed, " passing cases ",
                passing.empty() ? "none has" : concat(passing.size(), " have"), " that");
}

}  // namespace attest
