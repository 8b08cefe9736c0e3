#include "harness/coverage_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "cases/coverage.h"

namespace attest {
namespace {

constexpr std::string_view kSizes = " B Sq Sk H G D Dv Dn Dr E L seed ";
constexpr std::size_t kFewValues = 6;    // of a key whose values are features of their own
constexpr std::size_t kNamed = 10;       // missing combinations of a block
constexpr std::size_t kRowName = 28;     // characters of a row's name and count
constexpr std::size_t kPageWidth = 100;  // the columns that do not fit follow below

std::vector<KeyValue> printed(const Case& c) {
  const std::string problem = print(c.problem);
  std::vector<KeyValue> pairs = {{"variant", std::string(name(c.problem.variant))}};
  for (const std::string& side : {problem.substr(problem.find(' ')), print(c.run)})
    for (const KeyValue& pair : parse_pairs("coverage", side))
      if (kSizes.find(' ' + pair.key + ' ') == std::string_view::npos) pairs.push_back(pair);
  return pairs;
}

/// A rope has its kind before its numbers.
std::string kind_of(const std::string& value) { return value.substr(0, value.find(':')); }

bool is_word(const std::string& text) {
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text.front()));
}

/// The keys in the order of case strings, with the kinds of values that each has.
struct Keys {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> kinds;  // in the order in which they come

  explicit Keys(std::span<const Case> cases) {
    std::map<std::string, std::set<std::string>> before;  // keys that a case prints before this one
    for (const Case& c : cases) {
      std::set<std::string> earlier;
      for (const auto& [key, value] : printed(c)) {
        before[key].insert(earlier.begin(), earlier.end());
        earlier.insert(key);
        std::vector<std::string>& known = kinds[key];
        if (std::find(known.begin(), known.end(), kind_of(value)) == known.end())
          known.push_back(kind_of(value));
      }
    }
    while (!before.empty()) {
      const auto next = std::find_if(before.begin(), before.end(),
                                     [](const auto& entry) { return entry.second.empty(); });
      const std::string key = next->first;
      names.push_back(key);
      before.erase(key);
      for (auto& [other, earlier] : before) earlier.erase(key);
    }
  }

  bool by_value(const std::string& key) const {
    const std::vector<std::string>& all = kinds.at(key);
    return all.size() <= kFewValues && std::all_of(all.begin(), all.end(), is_word);
  }

  std::string feature(const KeyValue& pair) const {
    if (!by_value(pair.key)) return pair.key;
    return pair.key == "variant" ? pair.value : pair.key + '=' + kind_of(pair.value);
  }
};

std::string short_name(const Block& block) {
  const std::string where = std::filesystem::path(block.where).filename().string();
  return where.substr(0, where.rfind(':'));  // without the column
}

/// Of one key, the features from number `from` on that never meet feature `f`; the key alone where
/// it has several and none of them does.
std::string strangers(const FeatureTable& table, std::size_t f, std::size_t key, std::size_t from) {
  std::string text;
  std::size_t features = 0, never = 0;
  for (std::size_t g = 0; g < table.names.size(); ++g) {
    if (table.key_of[g] != key) continue;
    ++features;
    if (table.count[f][g] > 0) continue;
    ++never;
    if (g >= from) text += ' ' + table.names[g];
  }
  return features > 1 && never == features && !text.empty() ? ' ' + table.keys[key] : text;
}

std::string never_together(const FeatureTable& table) {
  std::string text;
  for (std::size_t f = 0; f < table.names.size(); ++f) {
    std::string others;
    for (std::size_t key = 0; key < table.keys.size(); ++key)
      if (key != table.key_of[f]) others += strangers(table, f, key, f + 1);
    if (!others.empty()) text += fmt::format("  {}:{}\n", table.names[f], others);
  }
  return text;
}

std::size_t column_width(const FeatureTable& table, std::size_t key) {
  return std::max<std::size_t>(table.keys[key].size(), 4) + 1;
}

/// A line for each feature, with the cases that it shares with each of these keys.
std::string counts(const FeatureTable& table, const std::vector<std::size_t>& columns) {
  std::string text = fmt::format("{:<{}}", "cases with", kRowName);
  for (std::size_t k : columns)
    text += fmt::format("{:>{}}", table.keys[k], column_width(table, k));
  text += '\n';
  for (std::size_t f = 0; f < table.names.size(); ++f) {
    text += fmt::format("{:<{}}{:>6}", table.names[f], kRowName - 6, table.count[f][f]);
    for (std::size_t k : columns) {
      std::size_t sum = 0;
      for (std::size_t g = 0; g < table.names.size(); ++g)
        if (table.key_of[g] == k) sum += table.count[f][g];
      const std::string cell = table.key_of[f] == k ? "-" : sum == 0 ? "." : std::to_string(sum);
      text += fmt::format("{:>{}}", cell, column_width(table, k));
    }
    text += '\n';
  }
  return text;
}

struct Column {
  std::string covered, infeasible, missing;
};

Column column(const CoverageReport& report, bool promised) {
  const std::string missing = std::to_string(report.missing.size());
  return {std::to_string(report.covered), std::to_string(report.infeasible()),
          promised ? missing : '(' + missing + ')'};
}

constexpr const char* kRow = "{:<18}{:<12}{:>6}{:>9}{:>12}{:>9}{:>11}{:>12}{:>9}\n";

}  // namespace

FeatureTable feature_table(std::span<const Case> cases) {
  const Keys keys(cases);
  FeatureTable table{
      .names = {}, .key_of = {}, .keys = keys.names, .count = {}, .cases = cases.size()};
  std::map<std::string, std::size_t> number;
  for (std::size_t k = 0; k < keys.names.size(); ++k)
    for (const std::string& kind : keys.kinds.at(keys.names[k]))
      if (number.try_emplace(keys.feature({keys.names[k], kind}), table.names.size()).second) {
        table.names.push_back(keys.feature({keys.names[k], kind}));
        table.key_of.push_back(k);
      }
  table.count.assign(table.names.size(), std::vector<std::size_t>(table.names.size(), 0));
  for (const Case& c : cases) {
    std::vector<std::size_t> own;
    for (const KeyValue& pair : printed(c)) own.push_back(number.at(keys.feature(pair)));
    for (std::size_t f : own)
      for (std::size_t g : own) ++table.count[f][g];
  }
  return table;
}

std::string print(const FeatureTable& table) {
  std::vector<std::size_t> of_key(table.keys.size(), 0);
  for (std::size_t f = 0; f < table.names.size(); ++f) of_key[table.key_of[f]] += table.count[f][f];
  std::string text;
  std::vector<std::size_t> columns;
  std::size_t width = kRowName;
  for (std::size_t k = 0; k < table.keys.size(); ++k) {
    if (of_key[k] == table.cases) continue;
    if (width + column_width(table, k) > kPageWidth) {
      text += counts(table, columns) + '\n';
      columns.clear();
      width = kRowName;
    }
    columns.push_back(k);
    width += column_width(table, k);
  }
  text += counts(table, columns);
  const std::string empty = never_together(table);
  return text + (empty.empty() ? "" : "\nno case has both:\n" + empty);
}

CoverageText coverage_text(std::span<const Block> blocks, std::span<const Case> cases) {
  CoverageText result;
  result.text = fmt::format("{:<36}{:>30}{:>32}\n", "", "pairs of axis values", "triples");
  result.text += fmt::format(kRow, "block", "coverage", "cases", "covered", "infeasible", "missing",
                             "covered", "infeasible", "missing");
  std::string named;
  for (const Block& block : blocks) {
    const bool all_triples = block.coverage != Coverage::pairwise;
    const CoverageReport pairs = coverage(block, cases, 2), triples = coverage(block, cases, 3);
    const Column two = column(pairs, true), three = column(triples, all_triples);
    result.text +=
        fmt::format(kRow, short_name(block), name(block.coverage), pairs.rows, two.covered,
                    two.infeasible, two.missing, three.covered, three.infeasible, three.missing);
    std::vector<Combination> lost = pairs.missing;
    if (all_triples) lost.insert(lost.end(), triples.missing.begin(), triples.missing.end());
    result.missing += lost.size();
    for (std::size_t n = 0; n < std::min(lost.size(), kNamed); ++n)
      named += fmt::format("missing in {}: {}\n", short_name(block), print(block, lost[n]));
  }
  result.text += named + fmt::format("{} missing\n", result.missing);
  return result;
}

}  // namespace attest
