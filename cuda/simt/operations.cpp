#include "cuda/simt/operations.h"

#include <bit>
#include <cstring>

#include "cases/error.h"
#include "cuda/simt/block.h"
#include "cuda/simt/mma.h"

namespace attest::emulator {
namespace {

/// Calls action(lane) for each lane of the mask, lowest first.
template <class Action>
void for_each_lane(std::uint32_t mask, Action action) {
  for (; mask != 0; mask &= mask - 1) action(static_cast<unsigned>(std::countr_zero(mask)));
}

struct Shuffle {
  std::uint64_t value, result;
  unsigned source;
  Place place;
};

const char* name(ShuffleMode mode) {
  switch (mode) {
    case ShuffleMode::index:
      return "__shfl_sync";
    case ShuffleMode::exclusive_or:
      return "__shfl_xor_sync";
    default:
      return "__shfl_down_sync";
  }
}

unsigned source_lane(ShuffleMode mode, unsigned lane, unsigned operand, unsigned width) {
  operand &= kWarpSize - 1;  // PTX ISA, "shfl.sync": bval = b[4:0]
  const unsigned first = lane & ~(width - 1);
  if (mode == ShuffleMode::index) return first | (operand & (width - 1));
  const unsigned source = mode == ShuffleMode::down ? lane + operand : lane ^ operand;
  return source < first + width ? source : lane;
}

struct Vote {
  bool predicate;
  std::uint32_t result;
};

/// One lane's part of `count` loads.
struct LoadMatrix {
  unsigned count;
  const void* const* row_s;
  std::uint32_t (*r)[4];
  Place place;
  const void* pc;
};

const LoadMatrix& load_of(void* const* arguments, unsigned lane) {
  return *static_cast<const LoadMatrix*>(arguments[lane]);
}

/// Row i of matrix m is where lane 8 m + i points; lane l gets the two elements at row l / 4,
/// columns 2 (l % 4) and the next (transposed: rows and columns exchanged) of each matrix.
template <bool kTransposed>
void load_four(void* const* arguments, unsigned n) {
  Block& block = *current_block;
  const unsigned warp = block.lane->warp;
  alignas(16) std::uint16_t element[4][8][8];
  for (unsigned l = 0; l < kWarpSize; ++l) {
    const LoadMatrix& load = load_of(arguments, l);
    const Lane& lane = block.lane_of(warp, l);
    block.check_shared("ldmatrix", load.row_s[n], 16, 16, load.place, &lane);
    block.watch(AccessKind::warp_read, lane, load.row_s[n], 16, load.pc);
    std::memcpy(element[l / 8][l % 8], load.row_s[n], 16);
  }
  for (unsigned l = 0; l < kWarpSize; ++l) {
    std::uint32_t* r = load_of(arguments, l).r[n];
    const unsigned i = l / 4, j = 2 * (l % 4);
    for (unsigned m = 0; m < 4; ++m) {
      const std::uint32_t low = kTransposed ? element[m][j][i] : element[m][i][j];
      const std::uint32_t high = kTransposed ? element[m][j + 1][i] : element[m][i][j + 1];
      r[m] = low | high << 16;
    }
  }
}

template <bool kTransposed>
void load_matrices(void* const* arguments, std::uint32_t) {
  for (unsigned n = 0; n < load_of(arguments, 0).count; ++n) load_four<kTransposed>(arguments, n);
}

template <MmaType kType>
void multiply(void* const* arguments, std::uint32_t) {
  const auto* operands = reinterpret_cast<const MmaOperands* const*>(arguments);
  current_block->statistics.mma += operands[0]->tiles;
  multiply_warp(kType, operands);
}

void order_memory(void* const*, std::uint32_t mask) { current_block->watch_sync(mask); }

}  // namespace

void sync_threads(Place place) { current_block->sync_threads(place); }

void sync_warp(std::uint32_t mask, Place place) {
  current_block->collective("__syncwarp", false, mask, nullptr, order_memory, place);
}

std::uint64_t shuffle(ShuffleMode mode, std::uint32_t mask, std::uint64_t value, unsigned operand,
                      unsigned width, Place place) {
  Block& block = *current_block;
  if (!std::has_single_bit(width) || width > kWarpSize)
    block.fail(FaultKind::misuse,
               concat(name(mode), ": width must be 1, 2, 4, 8, 16 or 32, got ", width), place);
  Shuffle mine{value, value, source_lane(mode, block.lane->lane, operand, width), place};
  if ((mask >> mine.source & 1) == 0)
    block.fail(FaultKind::misuse,
               concat(name(mode), ": reads lane ", mine.source, ", which is not among lanes ",
                      lanes_text(mask), " of the mask"),
               place);
  const auto exchange = [](void* const* arguments, std::uint32_t lanes) {
    for_each_lane(lanes, [&](unsigned l) {
      auto& reader = *static_cast<Shuffle*>(arguments[l]);
      reader.result = static_cast<const Shuffle*>(arguments[reader.source])->value;
    });
  };
  block.collective(name(mode), false, mask, &mine, exchange, place);
  return mine.result;
}

std::uint32_t ballot(std::uint32_t mask, bool predicate, Place place) {
  Vote mine{predicate, 0};
  const auto count = [](void* const* arguments, std::uint32_t lanes) {
    std::uint32_t result = 0;
    for_each_lane(lanes, [&](unsigned l) {
      result |= std::uint32_t{static_cast<Vote*>(arguments[l])->predicate} << l;
    });
    for_each_lane(lanes, [&](unsigned l) { static_cast<Vote*>(arguments[l])->result = result; });
  };
  current_block->collective("__ballot_sync", false, mask, &mine, count, place);
  return mine.result;
}

void* dynamic_shared(std::size_t bytes, std::size_t alignment, Place place) {
  current_block->check_shared("dynamic_shared", current_block->shared(), bytes, alignment, place);
  return current_block->shared();
}

void ldmatrix_x4(unsigned count, std::uint32_t (*r)[4], const void* const* row_s, bool transposed,
                 Place place) {
  LoadMatrix mine{count, row_s, r, place, __builtin_return_address(0)};
  if (transposed)
    current_block->collective("ldmatrix.trans", true, kFullMask, &mine, load_matrices<true>, place);
  else
    current_block->collective("ldmatrix", true, kFullMask, &mine, load_matrices<false>, place);
}

void mma(MmaType type, unsigned tiles, float (*d)[4], const std::uint32_t (&a)[4],
         const std::uint32_t* b, Place place) {
  MmaOperands mine{tiles, d, a, b};
  current_block->collective(
      "mma.sync", true, kFullMask, &mine,
      type == MmaType::bf16 ? multiply<MmaType::bf16> : multiply<MmaType::half>, place);
}

}  // namespace attest::emulator
