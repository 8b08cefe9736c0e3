#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "harness/commands.h"
#include "harness/select_options.h"
#include "harness/summary.h"

namespace attest {
namespace {

void list_fills() {
  for (const FillInfo& fill : fills()) {
    const char* tag = fill.tag == FillTag::iid        ? "iid"
                      : fill.tag == FillTag::coherent ? "coherent"
                                                      : "exact";
    std::cout << fill.name << '\t' << tag << '\t' << fill.exposes << '\n';
  }
}

}  // namespace

void add_list(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("list", "Print the selected cases, one a line");
  const auto options = std::make_shared<SelectOptions>();
  const auto fills_only = std::make_shared<bool>(false);
  options->add_to(*command, true);
  command->add_flag("--fills", *fills_only, "Print the input recipes and what they expose instead");
  command->callback([options, fills_only, &exit_code] {
    if (*fills_only) return list_fills();
    const Selection selection = options->resolve();
    const std::vector<Case> cases = assign_kernels(select(selection), selection);
    for (const Case& c : cases) std::cout << print(c) << '\n';
    if (cases.empty()) {
      std::cerr << "attest: list: the selection must keep at least one case, got none; "
                   "loosen --match, --kernel or --shard\n";
      exit_code = kNothingRan;
    }
  });
}

}  // namespace attest
