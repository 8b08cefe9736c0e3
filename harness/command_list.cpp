#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>

#include "cuda/simt/probe.h"
#include "harness/commands.h"
#include "harness/cost.h"
#include "harness/coverage_report.h"
#include "harness/select_options.h"
#include "harness/summary.h"

namespace attest {
namespace {

struct ListOptions {
  SelectOptions select;
  bool fills = false, coverage = false, cost = false;
};

void list_fills() {
  for (const FillInfo& fill : fills()) {
    const char* tag = fill.tag == FillTag::iid        ? "iid"
                      : fill.tag == FillTag::coherent ? "coherent"
                                                      : "exact";
    std::cout << fill.name << '\t' << tag << '\t' << fill.exposes << '\n';
  }
}

int list_coverage(const Selection& selection, const std::vector<Case>& cases) {
  const CoverageText blocks = coverage_text(blocks_of(selection), cases);
  std::cout << print(feature_table(cases)) << '\n' << blocks.text;
  return blocks.missing > 0 ? kFailed : kPassed;
}

void list_cost(const std::vector<Case>& all, const std::vector<Case>& cases,
               const std::string& shard) {
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  double probe = mma_probe_seconds();
  for (int n = 1; n < 4; ++n) probe = std::min(probe, mma_probe_seconds());  // others may compute
  std::cout << cost_table(cases, probe, cores);
  if (!shard.empty()) std::cout << shard_costs(all, shard, probe);
}

int list(const ListOptions& options) {
  if (options.fills) {
    list_fills();
    return kPassed;
  }
  Selection selection = options.select.resolve();
  const std::string shard = std::exchange(selection.shard, "");
  const std::vector<Case> all = assign_kernels(select(selection), selection);
  const std::vector<Case> cases = pick_shard(all, shard);
  if (cases.empty()) {
    std::cerr << "attest: list: the selection must keep at least one case, got none; "
                 "loosen --match, --kernel or --shard\n";
    return kNothingRan;
  }
  if (options.coverage) return list_coverage(selection, cases);
  if (options.cost) {
    list_cost(all, cases, shard);
    return kPassed;
  }
  for (const Case& c : cases) std::cout << print(c) << '\n';
  return kPassed;
}

}  // namespace

void add_list(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("list", "Print the selected cases, one a line");
  const auto options = std::make_shared<ListOptions>();
  options->select.add_to(*command, true);
  command->add_flag("--fills", options->fills,
                    "Print the input recipes and what they expose instead");
  command->add_flag("--coverage", options->coverage,
                    "Print which features meet, and what each block covers, instead");
  command->add_flag("--cost", options->cost,
                    "Print the seconds that the emulated kernels will take instead");
  command->callback([options, &exit_code] { exit_code = list(*options); });
}

}  // namespace attest
