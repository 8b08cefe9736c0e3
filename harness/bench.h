#pragma once

#include <functional>
#include <string>
#include <vector>

namespace attest {

/// Wall seconds of one call of `body`, one entry a repetition, ascending (Google Benchmark decides
/// how many calls a repetition needs). Speeds are only ever quoted as ratios of such figures of one
/// run.
std::vector<double> repeated_seconds(const std::string& name, const std::function<void()>& body);

/// The median of repeated_seconds().
double median_seconds(const std::string& name, const std::function<void()>& body);

/// Of values that need not be in order; at least one.
double median(std::vector<double> values);

/// Each measures one part of the suite and prints its rows.
void bench_reference();
void bench_judge();
void bench_golden();
void bench_gate(int jobs);

struct KernelBenchOptions {
  std::string backends = "emu";  ///< joined by commas
  std::string match;             ///< regular expression that a case string must contain
  std::string json;              ///< file that gets one line a row (ci/README.md); empty: none
};

/// Times kernels on the problems of bench_problems.h and returns the number of rows. Throws
/// InfraError for a backend that has no device and for a file that cannot be written, before
/// anything runs.
std::size_t bench_kernels(const KernelBenchOptions&);

/// `label   figure   remark`, aligned.
void print_row(const std::string& label, const std::string& figure, const std::string& remark);

}  // namespace attest
