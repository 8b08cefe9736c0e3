#include "reference/build.h"

#include "reference/reference.h"

namespace attest::reference {

// What registry.cpp, linear.cpp, peak.cpp and softmax.cpp define once for each instruction set.
#define ATTEST_DECLARE_BUILD(isa)                          \
  namespace isa {                                          \
  void attend(Variant, const Task&);                       \
  bool linear(const Linear&);                              \
  double fma_peak_flops(int threads);                      \
  void exp_shifted(const double*, double, Index, double*); \
  }
ATTEST_DECLARE_BUILD(baseline)
#if defined(__x86_64__)
ATTEST_DECLARE_BUILD(x86_64_v3)
ATTEST_DECLARE_BUILD(x86_64_v4)
#endif
#undef ATTEST_DECLARE_BUILD

namespace {

bool always() { return true; }

#if defined(__x86_64__)
// The features that the two levels add and that compilers use without being asked (psABI, table
// 3.1); processors that have these have the few small ones beside them.
bool has_v3() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
bool has_v4() {
  return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

constexpr Build kBuilds[] = {
    {"x86-64", always, baseline::attend, baseline::linear, baseline::fma_peak_flops,
     baseline::exp_shifted},
    {"x86-64-v3", has_v3, x86_64_v3::attend, x86_64_v3::linear, x86_64_v3::fma_peak_flops,
     x86_64_v3::exp_shifted},
    {"x86-64-v4", has_v4, x86_64_v4::attend, x86_64_v4::linear, x86_64_v4::fma_peak_flops,
     x86_64_v4::exp_shifted},
};
#else
constexpr Build kBuilds[] = {
    {"generic", always, baseline::attend, baseline::linear, baseline::fma_peak_flops,
     baseline::exp_shifted},
};
#endif

}  // namespace

std::span<const Build> builds() { return kBuilds; }

std::string_view eigen_version() { return ATTEST_EIGEN_VERSION; }

}  // namespace attest::reference
