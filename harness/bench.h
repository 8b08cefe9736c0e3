#pragma once

#include <functional>
#include <string>

namespace attest {

/// Median wall seconds of one call of `body` over repetitions (Google Benchmark decides how many
/// calls a repetition needs). Speeds are only ever quoted as ratios of such figures of one run.
double median_seconds(const std::string& name, const std::function<void()>& body);

/// Each measures one part of the suite and prints its rows.
void bench_reference();
void bench_judge();
void bench_golden();
void bench_kernels(const std::string& backends);
void bench_gate(int jobs);

/// `label   figure   remark`, aligned.
void print_row(const std::string& label, const std::string& figure, const std::string& remark);

}  // namespace attest
