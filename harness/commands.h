#pragma once

namespace CLI {
class App;
}

namespace attest {

/// Each adds one subcommand to the program. A command leaves its exit code in `exit_code` and
/// throws attest::Error for usage, InfraError for the world; main() turns those into 2 and 3.
void add_list(CLI::App&, int& exit_code);
void add_run(CLI::App&, int& exit_code);
void add_worker(CLI::App&, int& exit_code);  // hidden: what `attest run` starts
void add_merge(CLI::App&, int& exit_code);
void add_golden(CLI::App&, int& exit_code);
void add_bench(CLI::App&, int& exit_code);
void add_compare(CLI::App&, int& exit_code);
void add_cache(CLI::App&, int& exit_code);
void add_doctor(CLI::App&, int& exit_code);

}  // namespace attest
