#pragma once

#include <string>
#include <vector>

#include "cases/case.h"

namespace attest {

/// Case strings that the kernels of a backend are timed on. On a GPU, shapes that others have
/// published figures for and layers of published models; in the emulator, small ones that keep
/// every warp of a kernel busy.
std::vector<std::string> bench_problems(Backend);

/// A projection of M tokens: [M,K] by weights [N,K].
struct GemmShape {
  Index M, N, K;
};

/// `gemm M=1 N=6144 K=4096 dtype=bf16`
std::string print(const GemmShape&);

/// On a GPU, few and many tokens by the larger weights of LLaMA-3-8B and DeepSeek-V3.
std::vector<GemmShape> gemm_shapes(Backend);

}  // namespace attest
