// Shuffles, ballots, cp.async and launches, for the backend that this file is compiled for.
#include "tests/catch.h"
#include "tests/cuda/simt_primitives.h"

using namespace attest;
using namespace attest::ATTEST_BACKEND::primitives;

namespace {

using Word = std::uint32_t;
constexpr Word kAll = 0xffffffffu;

Words lane_numbers() {
  Words lanes;
  for (Word l = 0; l < 32; ++l) lanes.push_back(l);
  return lanes;
}

/// The lane that lane `tid` reads: pseudo-code of PTX ISA, "shfl.sync", with the operand c that
/// CUDA's functions make of width (CUDA Programming Guide, "Warp Shuffle Functions").
Word source_of(Shuffle mode, Word tid, Word b, Word width) {
  const Word c = (32 - width) << 8 | 0x1f, bval = b & 0x1f, cval = c & 0x1f,
             segmask = c >> 8 & 0x1f;
  const Word max_lane = (tid & segmask) | (cval & ~segmask), min_lane = tid & segmask;
  const Word j = mode == Shuffle::down           ? tid + bval
                 : mode == Shuffle::exclusive_or ? tid ^ bval
                                                 : min_lane | (bval & ~segmask);
  return j <= max_lane ? j : tid;
}

}  // namespace

TEST_CASE("shuffles read the lanes that a table names", "[simt]") {
  const Words lanes = lane_numbers();
  CHECK(shuffle(Shuffle::exclusive_or, kAll, 1, 32, lanes) ==
        Words{1,  0,  3,  2,  5,  4,  7,  6,  9,  8,  11, 10, 13, 12, 15, 14,
              17, 16, 19, 18, 21, 20, 23, 22, 25, 24, 27, 26, 29, 28, 31, 30});
  CHECK(shuffle(Shuffle::down, kAll, 3, 8, lanes) ==
        Words{3,  4,  5,  6,  7,  5,  6,  7,  11, 12, 13, 14, 15, 13, 14, 15,
              19, 20, 21, 22, 23, 21, 22, 23, 27, 28, 29, 30, 31, 29, 30, 31});
  CHECK(shuffle(Shuffle::index, kAll, 11, 8, lanes) ==
        Words{3,  3,  3,  3,  3,  3,  3,  3,  11, 11, 11, 11, 11, 11, 11, 11,
              19, 19, 19, 19, 19, 19, 19, 19, 27, 27, 27, 27, 27, 27, 27, 27});
  // Past its own segment, xor reads only backwards.
  CHECK(shuffle(Shuffle::exclusive_or, kAll, 8, 8, lanes) ==
        Words{0,  1,  2,  3,  4,  5,  6,  7,  0,  1,  2,  3,  4,  5,  6,  7,
              16, 17, 18, 19, 20, 21, 22, 23, 16, 17, 18, 19, 20, 21, 22, 23});
}

TEST_CASE("shuffles follow the pseudo-code for every operand and width", "[simt]") {
  const Shuffle mode = GENERATE(Shuffle::index, Shuffle::exclusive_or, Shuffle::down);
  for (const int width : {1, 2, 4, 8, 16, 32})
    for (int operand = 0; operand <= 33; ++operand) {
      Words expected;
      for (Word l = 0; l < 32; ++l)
        expected.push_back(
            source_of(mode, l, static_cast<Word>(operand), static_cast<Word>(width)));
      CAPTURE(static_cast<int>(mode), width, operand);
      CHECK(shuffle(mode, kAll, operand, width, lane_numbers()) == expected);
    }
}

TEST_CASE("shuffles move all bits of 4 and 8 bytes", "[simt]") {
  std::vector<std::uint64_t> wide, wide_expected;
  Floats real, real_expected;
  for (std::uint64_t l = 0; l < 32; ++l) {
    wide.push_back((l + 1) << 56 | l << 31 | 5);
    wide_expected.push_back(((l ^ 16) + 1) << 56 | (l ^ 16) << 31 | 5);
    real.push_back(static_cast<float>(l) + 0.25f);
    real_expected.push_back(static_cast<float>(l ^ 16) + 0.25f);
  }
  CHECK(shuffle(Shuffle::exclusive_or, kAll, 16, 32, wide) == wide_expected);
  CHECK(shuffle(Shuffle::exclusive_or, kAll, 16, 32, real) == real_expected);
}

TEST_CASE("a shuffle of some lanes leaves the others alone", "[simt]") {
  Words expected = lane_numbers();
  for (Word l = 8; l < 16; ++l) expected[l] = l ^ 2;
  CHECK(shuffle(Shuffle::exclusive_or, 0x0000ff00u, 2, 32, lane_numbers()) == expected);
}

TEST_CASE("a ballot has the bits of the lanes that vote yes", "[simt]") {
  CHECK(ballot(kAll, 0x80000001u) == Words(32, 0x80000001u));
  CHECK(ballot(kAll, 0) == Words(32, 0u));
  const Word mask = 0x00ff00f0u;
  Words expected(32);
  for (Word l = 0; l < 32; ++l) expected[l] = (mask >> l & 1) != 0 ? 0x00a500a0u : 0;
  CHECK(ballot(mask, 0xa5a5a5a5u) == expected);
}

TEST_CASE("cp.async brings 16 bytes, or zeros where it is out of range", "[simt]") {
  const std::uint64_t in_range =
      GENERATE(~std::uint64_t{0}, std::uint64_t{0}, std::uint64_t{0x8000'0001'5555'aaaa});
  Words source, expected;
  for (Word n = 0; n < 64; ++n)
    for (Word w = 0; w < 4; ++w) {
      source.push_back(0x1000 + 16 * n + w);
      expected.push_back((in_range >> n & 1) != 0 ? source.back() : 0);
    }
  CAPTURE(in_range);
  CHECK(cp_async(in_range, source) == expected);
}

TEST_CASE("threads and blocks are numbered with x fastest", "[simt]") {
  const std::array<unsigned, 3> grid{3, 2, 2}, block{5, 3, 4};
  Words expected;
  for (Word bz = 0; bz < 2; ++bz)
    for (Word by = 0; by < 2; ++by)
      for (Word bx = 0; bx < 3; ++bx)
        for (Word tz = 0; tz < 4; ++tz)
          for (Word ty = 0; ty < 3; ++ty)
            for (Word tx = 0; tx < 5; ++tx)
              for (const Word each : {tx, ty, tz, bx, by, bz, 5u, 3u, 4u, 3u, 2u, 2u})
                expected.push_back(each);
  CHECK((indices(grid, block) == expected));
}

TEST_CASE("a barrier orders shared memory, up to the most that a block may have", "[simt]") {
  const std::size_t bytes =
      GENERATE(std::size_t{1024}, std::size_t{48} << 10, std::size_t{99} << 10);
  Words expected;
  for (Word t = 0; t < 256; ++t) expected.push_back(255 - t);
  CHECK(reversed(bytes) == expected);
}
