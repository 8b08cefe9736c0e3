#include "cuda/simt/probe.h"

#include <chrono>

#include "cuda/simt/ptx.cuh"
#include "cuda/simt/simt.cuh"

namespace attest {
namespace emu {
namespace {

constexpr int kTiles = 8, kSteps = 2000, kWarps = 4;

/// Products that depend on each other, so that nothing is left out. result: one number a thread.
__global__ void probe_kernel(float* result) {
  float d[kTiles][4] = {};
  const std::uint32_t a[4] = {0x3f803f80u, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u};
  const std::uint32_t b[2 * kTiles] = {};
  for (int step = 0; step < kSteps; ++step) simt::mma<kTiles, simt::bf16>(d, a, b);
  result[threadIdx.x] = d[0][0];
}

}  // namespace
}  // namespace emu

double mma_probe_seconds() {
  float result[32 * emu::kWarps];
  const auto start = std::chrono::steady_clock::now();
  emu::simt::launch(
      emu::probe_kernel,
      emu::simt::LaunchShape{.grid = {1}, .block = {32 * emu::kWarps}, .smem_bytes = 0}, result);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return elapsed.count() / (emu::kTiles * emu::kSteps * emu::kWarps);
}

}  // namespace attest
