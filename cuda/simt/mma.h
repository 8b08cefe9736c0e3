#pragma once

#include <cstdint>

#include "cuda/simt/operations.h"

namespace attest::emulator {

/// One lane's part of d[tiles] += a b[tiles], in fragments of mma.m16n8k16.
struct MmaOperands {
  unsigned tiles;
  float (*d)[4];           ///< [tiles][4]
  const std::uint32_t* a;  ///< [4]
  const std::uint32_t* b;  ///< [tiles][2]
};

/// The products of a warp: lane[0..31]. Products are exact in fp32; they are added to d one after
/// another, k ascending, each sum rounded to nearest even. Hardware adds in groups, with fewer
/// alignment bits, and truncates.
void multiply_warp(MmaType, const MmaOperands* const* lane);

}  // namespace attest::emulator
