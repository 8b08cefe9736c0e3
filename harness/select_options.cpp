#include "harness/select_options.h"

#include <CLI/CLI.hpp>
#include <sstream>

#include "cases/error.h"

namespace attest {
namespace {

std::optional<std::uint64_t> optional_number(const char* option, const std::string& text) {
  if (text.empty()) return std::nullopt;
  Case scratch;
  set_key(scratch, "option", option, text);
  return std::string_view(option) == "seed" ? scratch.problem.seed : scratch.run.schedule;
}

}  // namespace

void SelectOptions::add_to(CLI::App& command, bool how_to_run) {
  command.add_option("cases", selection.sources,
                     "Case files (.yaml, .list) or case strings; default: ci/gate.list");
  command.add_option("--match", selection.match,
                     "Keep cases whose string contains this regular expression");
  command.add_option("--shard", selection.shard, "i/n: the i-th of n parts, by hash of the id");
  command.add_option("--seed", seed, "Replaces the seed of every problem");
  if (!how_to_run) return;
  command.add_option("--kernel", kernels, "Kernels to run, joined by commas; default: all");
  command.add_option("--backend", backends, "emu, gpu or emu,gpu")->capture_default_str();
  command.add_option("--schedule", schedule,
                     "Order of warps in the emulator: 0, 1 or a random seed from 2 on");
}

Selection SelectOptions::resolve() const {
  Selection result = selection;
  result.kernels = split_commas(kernels);
  result.backends.clear();
  for (const std::string& backend : split_commas(backends))
    result.backends.push_back(parse_backend(backend));
  result.seed = optional_number("seed", seed);
  result.schedule = optional_number("schedule", schedule);
  return result;
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');)
    if (!word.empty()) words.push_back(word);
  return words;
}

}  // namespace attest
