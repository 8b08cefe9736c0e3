#include <Eigen/Core>
#include <chrono>

namespace attest::reference::ATTEST_ISA {
namespace {

using Vector = Eigen::internal::packet_traits<double>::type;
constexpr int kLanes = Eigen::internal::packet_traits<double>::size;

// Two units with a latency of four cycles need eight chains in flight; more still fit the sixteen
// registers of the smaller instruction sets.
constexpr int kChains = 12;
constexpr int kSteps = 1 << 20, kTries = 20;

// Runs kChains independent chains x -> x a + b; returns their sum. The numbers are volatile, or the
// compiler would find the fixed point x = 1 by itself.
double run_chains() {
  using namespace Eigen::internal;
  static volatile double numbers[] = {1.0, 0.999, 0.001};
  const double start = numbers[0], factor = numbers[1], summand = numbers[2];
  const Vector a = pset1<Vector>(factor), b = pset1<Vector>(summand);
  Vector x[kChains];
  for (int n = 0; n < kChains; ++n) x[n] = pset1<Vector>(start + n);  // or one would do for all
  for (int step = 0; step < kSteps; ++step)
#pragma GCC unroll 12
    for (int n = 0; n < kChains; ++n) x[n] = pmadd(x[n], a, b);
  double sum = 0;
  for (const Vector& chain : x) sum += predux(chain);
  return sum;
}

}  // namespace

double fma_peak_flops(int threads) {
  using Clock = std::chrono::steady_clock;
  double best_seconds = 1e9, sum = 0;
  for (int n = 0; n < kTries; ++n) {
    const Clock::time_point start = Clock::now();
#pragma omp parallel num_threads(threads) reduction(+ : sum)
    sum += run_chains();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best_seconds = seconds < best_seconds ? seconds : best_seconds;
  }
  volatile double keep = sum;  // or the compiler drops the chains
  static_cast<void>(keep);
  return 2.0 * kLanes * kChains * kSteps * threads / best_seconds;
}

}  // namespace attest::reference::ATTEST_ISA
