#include <vector>

#include "cuda/multiplier.h"

namespace attest {

// cuda/kernels/gemm_run.cu, once a build; cuda/gpu/cublaslt.cu.
namespace emu {
Multiplier gemm();
}
namespace gpu {
Multiplier gemm();
Multiplier cublaslt();
}  // namespace gpu

std::span<const Multiplier> multipliers() {
  static const std::vector<Multiplier> all = {
      emu::gemm(),
#ifdef ATTEST_HAS_GPU
      gpu::gemm(),
#endif
#ifdef ATTEST_HAS_CUBLASLT
      gpu::cublaslt(),
#endif
  };
  return all;
}

}  // namespace attest
