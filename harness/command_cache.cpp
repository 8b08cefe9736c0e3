#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "harness/cache_report.h"
#include "harness/commands.h"
#include "harness/selection.h"
#include "harness/summary.h"

namespace attest {
namespace {

struct CacheOptions {
  std::string preset, dtype = "bf16";
  CacheExtent extent;
  bool list = false;
};

std::string answer(CacheOptions options) {
  const std::vector<Preset> presets = load_presets(home() + "/cases/presets");
  if (options.list) return preset_list(presets);
  if (options.preset.empty()) return cache_table(presets);
  options.extent.dtype = parse_dtype(options.dtype);
  return cache_report(find_preset(presets, options.preset), options.extent);
}

}  // namespace

void add_cache(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "cache", "Bytes of KV cache, parameters and FLOP of the attention of known models");
  const auto options = std::make_shared<CacheOptions>();
  CLI::Option* preset = command->add_option(
      "preset", options->preset, "Model to account for; default: a table that compares some");
  command->add_option("--length", options->extent.length, "Tokens of a sequence")
      ->capture_default_str()
      ->needs(preset);
  command->add_option("--batch", options->extent.batch, "Sequences")
      ->capture_default_str()
      ->needs(preset);
  command->add_option("--dtype", options->dtype, "Type of the cache: fp64, fp32, fp16 or bf16")
      ->capture_default_str()
      ->needs(preset);
  command->add_flag("--list", options->list, "Print the known models, their dimensions and sources")
      ->excludes(preset);
  command->callback([options, &exit_code] {
    std::cout << answer(*options);
    exit_code = kPassed;
  });
}

}  // namespace attest
