#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cases/case.h"

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

/// Which rows of the parts that have rows.
struct BenchSelection {
  std::vector<Backend> backends;  ///< each has a device
  std::string match;              ///< regular expression that a case string must contain
};

class JsonRows;

/// Times kernels on the problems of bench_problems.h; returns the number of rows.
std::size_t bench_kernels(const BenchSelection&, JsonRows&);

/// Times products by weights on the shapes of bench_problems.h, on a GPU beside cuBLASLt; returns
/// the number of shapes.
std::size_t bench_gemm(const BenchSelection&, JsonRows&);

/// `label   figure   remark`, aligned.
void print_row(const std::string& label, const std::string& figure, const std::string& remark);

}  // namespace attest
