#pragma once

// Picks what stands behind CUDA's words: nvcc's own, or the emulator.

#if !defined(ATTEST_BACKEND)
#error "compile kernels with -DATTEST_BACKEND=gpu (nvcc) or -DATTEST_BACKEND=emu (C++)"
#endif

#if defined(__CUDACC__)
#include "cuda/simt/backend_gpu.cuh"
#else
#include "cuda/simt/backend_emu.h"
#endif
