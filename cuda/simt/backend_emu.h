#pragma once

// CUDA's words for the emulator. The words with two underscores in front are macros or functions of
// attest::ATTEST_BACKEND; threadIdx and its like are macros, so no struct of a kernel may have
// members of these names.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "cuda/simt/block.h"
#include "cuda/simt/operations.h"
#include "cuda/simt/place.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define threadIdx (::attest::emulator::current_block->lane->index)
#define blockIdx (::attest::emulator::current_block->index)
#define blockDim (::attest::emulator::current_block->grid->block)
#define gridDim (::attest::emulator::current_block->grid->grid)

namespace attest::ATTEST_BACKEND {

using dim3 = emulator::Dim3;
using std::max;
using std::min;

inline void __syncthreads(Place place = Place::current()) { emulator::sync_threads(place); }

inline void __syncwarp(unsigned mask = 0xffffffffu, Place place = Place::current()) {
  emulator::sync_warp(mask, place);
}

inline unsigned __ballot_sync(unsigned mask, bool predicate, Place place = Place::current()) {
  return emulator::ballot(mask, predicate, place);
}

template <class T>
T shuffled(emulator::ShuffleMode mode, unsigned mask, T value, unsigned operand, int width,
           Place place) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = emulator::shuffle(mode, mask, bits, operand, static_cast<unsigned>(width), place);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, Place place = Place::current()) {
  return shuffled(emulator::ShuffleMode::index, mask, value, static_cast<unsigned>(source), width,
                  place);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  Place place = Place::current()) {
  return shuffled(emulator::ShuffleMode::exclusive_or, mask, value,
                  static_cast<unsigned>(lane_mask), width, place);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   Place place = Place::current()) {
  return shuffled(emulator::ShuffleMode::down, mask, value, delta, width, place);
}

namespace simt {

struct LaunchShape {
  dim3 grid, block;
  std::size_t smem_bytes = 0;
  Place place = Place::current();  ///< of the launch, for reports
};

template <class SharedPlan>
SharedPlan* dynamic_shared(Place place = Place::current()) {
  return static_cast<SharedPlan*>(
      emulator::dynamic_shared(sizeof(SharedPlan), alignof(SharedPlan), place));
}

/// Runs the kernel to its end. Throws KernelFault.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), const LaunchShape& shape, Arguments&&... arguments) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<std::remove_cv_t<Parameters>...> parameters;
  };
  const Call call{kernel, {static_cast<Arguments&&>(arguments)...}};
  const auto run = [](const void* data) {
    const Call& c = *static_cast<const Call*>(data);
    std::apply(c.kernel, c.parameters);
  };
  emulator::run_grid(
      {shape.grid, shape.block, shape.smem_bytes, run, &call, emulator::schedule(), shape.place});
}

}  // namespace simt
}  // namespace attest::ATTEST_BACKEND
