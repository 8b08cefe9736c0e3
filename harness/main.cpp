#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>

#include "cases/error.h"
#include "harness/commands.h"
#include "harness/summary.h"
#include "harness/version.h"

namespace {

int report(const std::exception& error, int exit_code) {
  std::cerr << "attest: " << error.what() << '\n';
  return exit_code;
}

/// CLI11 would only say that a subcommand is required.
void check_command(const CLI::App& app, const std::string& given) {
  std::string names;
  bool known = given.empty() || given[0] == '-';
  for (const CLI::App* command : app.get_subcommands({})) {
    known = known || command->get_name() == given;
    if (!command->get_group().empty()) names += ' ' + command->get_name();
  }
  ATTEST_CHECK(known, "command: must be one of", names, ", got ", given, "; see attest --help");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Attest: checks attention kernels against a readable fp64 reference"};
  app.require_subcommand(1);
  app.set_version_flag("--version",
                       std::string(attest::version()) + ' ' + std::string(attest::commit()));
  app.footer(
      "Exit codes: 0 passed, 1 failed, 2 usage, 3 infrastructure, 4 untrusted, 5 nothing ran.");
  int exit_code = attest::kPassed;
  attest::add_run(app, exit_code);
  attest::add_list(app, exit_code);
  attest::add_merge(app, exit_code);
  attest::add_golden(app, exit_code);
  attest::add_bench(app, exit_code);
  attest::add_compare(app, exit_code);
  attest::add_cache(app, exit_code);
  attest::add_doctor(app, exit_code);
  attest::add_worker(app, exit_code);
  try {
    if (argc > 1) check_command(app, argv[1]);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? attest::kPassed : attest::kUsage;
  } catch (const attest::InfraError& error) {
    return report(error, attest::kInfrastructure);
  } catch (const attest::Error& error) {
    return report(error, attest::kUsage);
  } catch (const std::exception& error) {
    return report(error, attest::kInfrastructure);
  }
  return exit_code;
}
