#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <set>

#include "cases/error.h"
#include "golden/golden_file.h"
#include "harness/commands.h"
#include "harness/golden_make.h"
#include "harness/select_options.h"
#include "harness/summary.h"

namespace attest {
namespace {

struct GenerateOptions {
  SelectOptions select;
  std::string output;
};

/// The problems of the selected cases, each once, without how they are run.
std::vector<Problem> problems_of(const Selection& selection) {
  std::vector<Problem> problems;
  std::set<std::string> seen;
  for (const Case& c : select(selection))
    if (seen.insert(print(c.problem)).second) problems.push_back(c.problem);
  return problems;
}

int generate(const GenerateOptions& options) {
  const std::vector<Problem> problems = problems_of(options.select.resolve());
  if (problems.empty()) {
    std::cerr << "attest: golden generate: the selection must keep at least one case, got none; "
                 "see attest list\n";
    return kNothingRan;
  }
  std::size_t written = 0;
  generate_golden(options.output, problems, "attest golden generate", [&](const Problem& problem) {
    std::cerr << ++written << " of " << problems.size() << "  " << print(problem) << '\n';
  });
  const GoldenFile file(options.output);
  std::cout << options.output << ": " << problems.size() << " cases, logical hash "
            << file.logical_hash() << '\n';
  return kPassed;
}

int verify(const std::vector<std::string>& paths) {
  int exit_code = kPassed;
  for (const std::string& path : paths) {
    const std::vector<GoldenDifference> differences = verify_golden(path);
    for (const GoldenDifference& difference : differences)
      std::cout << "DIFFERS  " << difference.case_string << "  " << difference.tensor << ": "
                << difference.message << '\n';
    std::cout << path << ": "
              << (differences.empty() ? "verified, logical hash " + GoldenFile(path).logical_hash()
                                      : concat(differences.size(), " tensors differ"))
              << '\n';
    if (!differences.empty()) exit_code = kFailed;
  }
  return exit_code;
}

}  // namespace

void add_golden(CLI::App& app, int& exit_code) {
  CLI::App* golden = app.add_subcommand("golden", "Make and check golden files");
  golden->require_subcommand(1);

  CLI::App* make = golden->add_subcommand("generate", "Write inputs, outputs and conditioning");
  const auto options = std::make_shared<GenerateOptions>();
  options->select.add_to(*make, false);
  make->add_option("--output,-o", options->output, "File to write (HDF5)")->required();
  make->callback([options, &exit_code] { exit_code = generate(*options); });

  CLI::App* check = golden->add_subcommand("verify", "Compute a file again from its own inputs");
  const auto paths = std::make_shared<std::vector<std::string>>();
  check->add_option("files", *paths, "Golden files")->required();
  check->callback([paths, &exit_code] { exit_code = verify(*paths); });
}

}  // namespace attest
