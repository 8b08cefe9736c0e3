#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cases/tensor.h"
#include "cuda/simt/emulator.h"
#include "tests/cuda/kernels_support.h"

// What the tests of the kernels of a layer share. Nothing here is known to the kernels.
namespace attest::test {

/// A tensor of noise, rounded to dtype (bf16 or fp16).
inline Tensor noise_tensor(const std::string& name, Dtype dtype, const std::vector<Index>& shape,
                           double deviation = 1.0) {
  Tensor tensor(name, dtype, std::string(shape.size(), 'X'), shape);
  const Value value = noise(name, deviation);
  Index n = 0;
  for (std::uint16_t& bits : tensor.as<std::uint16_t>()) bits = encode(dtype, value(0, 0, 0, n++));
  return tensor;
}

inline std::vector<double> values(const Tensor& tensor) {
  std::vector<double> all(static_cast<std::size_t>(tensor.size()));
  for (Index n = 0; n < tensor.size(); ++n) all[static_cast<std::size_t>(n)] = tensor.value(n);
  return all;
}

/// Worst |got - want| over the bound of its element; infinity where got is not finite.
class WorstRatio {
 public:
  void add(double got, double want, double bound) {
    const double ratio = got == want ? 0 : std::abs(got - want) / bound;
    worst_ =
        std::isfinite(ratio) ? std::max(worst_, ratio) : std::numeric_limits<double>::infinity();
  }
  double worst() const { return worst_; }

 private:
  double worst_ = 0;
};

/// Half a unit in the last place of y and of what is subnormal.
inline double rounding(Dtype dtype, double y) {
  return unit_roundoff(dtype) * std::abs(y) + min_subnormal(dtype) / 2;
}

/// Runs the emulator in an order of warps and lanes; back to the default at the end of the scope.
class WithSchedule {
 public:
  explicit WithSchedule(Schedule schedule) { emulator::set_schedule(schedule); }
  ~WithSchedule() { emulator::set_schedule(0); }
  WithSchedule(const WithSchedule&) = delete;
  WithSchedule& operator=(const WithSchedule&) = delete;
};

inline bool same_bits(const Tensor& left, const Tensor& right) {
  return std::ranges::equal(left.bytes(), right.bytes());
}

}  // namespace attest::test
