#include "cases/preset.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <numeric>

#include "cases/error.h"
#include "cases/preset_reader.h"

namespace attest {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file.is_open())
    throw InfraError(concat("presets: a file must be readable, got ", path.string()));
  return {std::istreambuf_iterator<char>(file), {}};
}

void check_unique(const std::vector<Preset>& presets) {
  for (auto second = presets.begin(); second != presets.end(); ++second)
    for (auto first = presets.begin(); first != second; ++first)
      ATTEST_CHECK(first->name != second->name, second->where, ": a name must be given once, got ",
                   second->name, ", which stands at ", first->where, " too");
}

/// Least number of letters to insert, remove or replace that makes `a` of `b`.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// Names that start with or contain what was asked for, or are a few letters away.
std::string similar(const std::vector<Preset>& presets, std::string_view name) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const Preset& preset : presets) {
    const bool contains = !name.empty() && preset.name.find(name) != std::string::npos;
    const std::size_t far = contains ? 0 : distance(name, preset.name);
    if (far <= 1 + name.size() / 4) ranked.emplace_back(far, preset.name);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string names;
  for (std::size_t n = 0; n < std::min<std::size_t>(ranked.size(), 5); ++n)
    names += concat(n == 0 ? "" : ", ", ranked[n].second);
  return names;
}

}  // namespace

Index Preset::windowed_layers() const {
  if (window.size == 0) return 0;
  return window.global_every == 0 ? layers : layers - layers / window.global_every;
}

std::vector<Preset> parse_presets(std::string_view yaml, std::string_view file) {
  const YamlNode root = parse_yaml(yaml, file);
  root.require(YamlNode::Kind::list, "a preset file");
  std::vector<Preset> presets;
  for (const YamlNode& node : root.items) presets.push_back(read_preset(node));
  check_unique(presets);
  return presets;
}

std::vector<Preset> load_presets(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  if (paths.empty())
    throw InfraError(concat("presets: a folder with .yaml files must exist, got ", folder.string(),
                            error ? concat(" (", error.message(), ")") : ""));
  std::sort(paths.begin(), paths.end());
  std::vector<Preset> presets;
  for (const std::filesystem::path& path : paths) {
    std::vector<Preset> more = parse_presets(read(path), path.string());
    std::move(more.begin(), more.end(), std::back_inserter(presets));
  }
  check_unique(presets);
  return presets;
}

const Preset& find_preset(const std::vector<Preset>& presets, std::string_view name) {
  for (const Preset& preset : presets)
    if (preset.name == name) return preset;
  const std::string near = similar(presets, name);
  throw Error(concat("preset: the name must be known, got ", name,
                     near.empty() ? "" : "; similar names: ", near,
                     "; all names: attest cache --list"));
}

}  // namespace attest
