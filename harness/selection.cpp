#include "harness/selection.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "cases/error.h"
#include "cases/matrix.h"
#include "cuda/kernel.h"

namespace attest {
namespace {

struct Shard {
  std::uint64_t index = 1, count = 1;
};

Shard parse_shard(std::string_view text) {
  if (text.empty()) return {};
  const std::size_t slash = text.find('/');
  ATTEST_CHECK(slash != std::string_view::npos, "shard: must read i/n, got ", text);
  const std::int64_t count = parse_integer("shard", "n", text.substr(slash + 1), 1, 1 << 20);
  const std::int64_t index = parse_integer("shard", "i", text.substr(0, slash), 1, count);
  return {static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(count)};
}

/// 1-based: which of `count` parts a problem is in.
std::uint64_t part_of(const Problem& problem, std::uint64_t count) {
  return std::stoull(case_id(problem), nullptr, 16) % count + 1;
}

bool is_case_string(std::string_view source) { return source.find('=') != std::string_view::npos; }

std::vector<Case> read(const std::string& source) {
  if (is_case_string(source)) return {parse_case(source)};
  return load_cases({std::filesystem::path(source)});
}

std::vector<std::string> sources_of(const Selection& selection) {
  if (!selection.sources.empty()) return selection.sources;
  return {home() + "/ci/gate.list"};
}

template <class T>
bool contains(const std::vector<T>& values, const T& value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

std::vector<std::string> candidates(const Case& c, const Selection& selection) {
  if (!c.run.kernel.empty()) {
    const bool kept = selection.kernels.empty() || contains(selection.kernels, c.run.kernel);
    return kept ? std::vector{c.run.kernel} : std::vector<std::string>{};
  }
  std::vector<std::string> wanted, supporting;
  for (const Kernel& kernel : kernels()) {
    const std::string name(kernel.name);
    if (kernel.backend != Backend::emu) continue;
    if (!selection.kernels.empty() && !contains(selection.kernels, name)) continue;
    wanted.push_back(name);
    if (kernel.supports(c.problem).empty()) supporting.push_back(name);
  }
  // None: one of them says why. That of kernels which take no layers is of no use for a layer.
  const bool layer = c.problem.level == Level::layer && contains(wanted, std::string("layer"));
  if (supporting.empty() && !wanted.empty()) supporting.push_back(layer ? "layer" : wanted.front());
  return supporting;
}

}  // namespace

std::regex compile_match(const std::string& expression) {
  try {
    return std::regex(expression);
  } catch (const std::regex_error& error) {
    throw Error(
        concat("match: must be a regular expression, got ", expression, " (", error.what(), ")"));
  }
}

std::vector<Block> blocks_of(const Selection& selection) {
  std::vector<std::filesystem::path> files;
  for (const std::string& source : sources_of(selection))
    if (!is_case_string(source)) files.emplace_back(source);
  return load_blocks(files);
}

std::vector<Case> pick_shard(const std::vector<Case>& cases, std::string_view text) {
  const Shard shard = parse_shard(text);
  std::vector<Case> picked;
  for (const Case& c : cases)
    if (part_of(c.problem, shard.count) == shard.index) picked.push_back(c);
  return picked;
}

std::string shard_like(std::string_view text, const Problem& problem) {
  if (text.empty()) return "";
  const Shard shard = parse_shard(text);
  return concat(part_of(problem, shard.count), '/', shard.count);
}

std::vector<Case> select(const Selection& selection) {
  const std::regex match = compile_match(selection.match);
  std::vector<Case> selected;
  std::set<std::string> seen;
  for (const std::string& source : sources_of(selection))
    for (Case c : read(source)) {
      if (selection.seed) c.problem.seed = *selection.seed;
      if (selection.schedule) c.run.schedule = *selection.schedule;
      const std::string text = print(c);
      if (std::regex_search(text, match) && seen.insert(text).second) selected.push_back(c);
    }
  return pick_shard(selected, selection.shard);
}

std::vector<Case> assign_kernels(const std::vector<Case>& cases, const Selection& selection) {
  for (const std::string& kernel : selection.kernels) find_kernel(kernel, Backend::emu);
  std::vector<Case> assigned;
  std::set<std::string> seen;
  for (const Backend backend : selection.backends)
    for (const Case& c : cases)
      for (const std::string& kernel : candidates(c, selection)) {
        Case run = c;
        run.run.kernel = kernel;
        run.run.backend = backend;
        if (seen.insert(print(run)).second) assigned.push_back(run);
      }
  return assigned;
}

std::string home() {
  if (const char* path = std::getenv("ATTEST_HOME")) return path;
  const std::filesystem::path program = std::filesystem::canonical("/proc/self/exe").parent_path();
  for (const char* near : {"..", "../share/attest", "../.."})
    if (std::filesystem::exists(program / near / "ci/gate.list"))
      return std::filesystem::canonical(program / near).string();
  throw Error(concat("home: ci/gate.list must lie near the program, got none around ",
                     program.string(), "; set ATTEST_HOME or name a case file"));
}

}  // namespace attest
