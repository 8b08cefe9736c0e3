// ldmatrix and mma.m16n8k16 against the figures of the PTX ISA, for the backend that this file is
// compiled for. Elements are coded by their index, so that each misplaced one shows.
#include <cmath>

#include "cases/error.h"
#include "tests/catch.h"
#include "tests/cuda/simt_primitives.h"

using namespace attest;
using namespace attest::ATTEST_BACKEND::primitives;

namespace {

using Word = std::uint32_t;
constexpr int kM = 16, kN = 8, kK = 16, kLanes = 32;

/// Which thread holds what of an 8x8 part: row i, elements 2 p and 2 p + 1 in thread
/// kThread[i][p]. PTX ISA, "ldmatrix" (fragment layout for one 8x8 matrix), and the quarters of A,
/// the halves of C and, transposed, the halves of B in "Matrix Fragments for mma.m16n8k16 with
/// floating point type".
constexpr int kThread[8][4] = {{0, 1, 2, 3},     {4, 5, 6, 7},     {8, 9, 10, 11},
                               {12, 13, 14, 15}, {16, 17, 18, 19}, {20, 21, 22, 23},
                               {24, 25, 26, 27}, {28, 29, 30, 31}};

/// First element of the thread's pair in each part: [row / 8][column / 8] of A, [row / 8] of B and
/// C (same section: a0 a1 upper left, a2 a3 lower left, a4 a5 upper right, a6 a7 lower right).
constexpr int kPairOfA[2][2] = {{0, 4}, {2, 6}};
constexpr int kPairOfBOrC[2] = {0, 2};

struct Place {
  int lane, element;
};
Place place_in_a(int i, int k) {
  return {kThread[i % 8][k % 8 / 2], kPairOfA[i / 8][k / 8] + k % 2};
}
Place place_in_b(int k, int n) { return {kThread[n][k % 8 / 2], kPairOfBOrC[k / 8] + k % 2}; }
Place place_in_c(int i, int n) { return {kThread[i % 8][n / 2], kPairOfBOrC[i / 8] + n % 2}; }

/// Bits of a number that both formats hold exactly, found by decoding.
Word bits_of(Dtype dtype, double value) {
  for (Word bits = 0; bits < 0x10000; ++bits) {
    const auto pattern = static_cast<std::uint16_t>(bits);
    if (decode(dtype, &pattern) == value) return bits;
  }
  throw Error("the test needs a number of the format");
}

/// 0, 1, .. 256 in a format.
std::vector<Word> integers(Dtype dtype) {
  std::vector<Word> result;
  for (int n = 0; n <= 256; ++n) result.push_back(bits_of(dtype, n));
  return result;
}

int code_of_a(int i, int k) { return kK * i + k + 1; }                        // 1 .. 256
int code_of_b(int tile, int k, int n) { return kN * k + n + 1 + 16 * tile; }  // 1 .. 240
int code_of_c(int tile, int i, int n) { return 1000 * tile + kN * i + n + 1; }

/// Sets one element in the registers [32, registers] of a trial.
void set(Words& fragments, std::size_t trial, int registers, Place p, Word bits) {
  const auto at =
      (trial * kLanes + static_cast<std::size_t>(p.lane)) * static_cast<std::size_t>(registers) +
      static_cast<std::size_t>(p.element / 2);
  fragments[at] |= bits << 16 * (p.element % 2);
}

std::size_t place_in_d(std::size_t trial, int tiles, int tile, int i, int n) {
  const Place p = place_in_c(i, n);
  return ((trial * kLanes + static_cast<std::size_t>(p.lane)) * static_cast<std::size_t>(tiles) +
          static_cast<std::size_t>(tile)) *
             4 +
         static_cast<std::size_t>(p.element);
}

Words coded_a(const std::vector<Word>& integer) {
  Words a(kLanes * 4);
  for (int i = 0; i < kM; ++i)
    for (int k = 0; k < kK; ++k)
      set(a, 0, 4, place_in_a(i, k), integer[static_cast<std::size_t>(code_of_a(i, k))]);
  return a;
}

Words coded_b(const std::vector<Word>& integer, int tiles) {
  Words b(static_cast<std::size_t>(kLanes * tiles * 2));
  for (int tile = 0; tile < tiles; ++tile)
    for (int k = 0; k < kK; ++k)
      for (int n = 0; n < kN; ++n) {
        const Place p = place_in_b(k, n);
        set(b, 0, 2 * tiles, {p.lane, 4 * tile + p.element},
            integer[static_cast<std::size_t>(code_of_b(tile, k, n))]);
      }
  return b;
}

/// `trials` copies one behind the other.
Words repeated(const Words& once, std::size_t trials) {
  Words result;
  for (std::size_t t = 0; t < trials; ++t) result.insert(result.end(), once.begin(), once.end());
  return result;
}

/// 32 rows of 8 elements, element c of row r coded 8 r + c.
Halves coded_rows() {
  Halves rows;
  for (int n = 0; n < 256; ++n) rows.push_back(static_cast<std::uint16_t>(n));
  return rows;
}

/// A permutation in which no lane keeps its number's neighbour: row 11 l + 5 mod 32.
std::array<Word, 32> scattered_rows() {
  std::array<Word, 32> row{};
  for (Word l = 0; l < 32; ++l) row[l] = (11 * l + 5) % 32;
  return row;
}

}  // namespace

TEST_CASE("ldmatrix gives each thread two neighbours of a row of each matrix", "[simt]") {
  const bool behind_another = GENERATE(false, true);
  const auto row = scattered_rows();
  Words expected(kLanes * 4);
  for (std::size_t m = 0; m < 4; ++m)
    for (std::size_t i = 0; i < 8; ++i)
      for (std::size_t p = 0; p < 4; ++p) {
        const Word first = 8 * row[8 * m + i] + static_cast<Word>(2 * p);
        expected[4 * static_cast<std::size_t>(kThread[i][p]) + m] = first | (first + 1) << 16;
      }
  CHECK(ldmatrix(false, behind_another, coded_rows(), row) == expected);
}

TEST_CASE("ldmatrix.trans gives each thread two neighbours of a column", "[simt]") {
  const bool behind_another = GENERATE(false, true);
  const auto row = scattered_rows();
  Words expected(kLanes * 4);
  for (std::size_t m = 0; m < 4; ++m)
    for (std::size_t j = 0; j < 8; ++j)
      for (std::size_t p = 0; p < 4; ++p) {
        const Word upper = 8 * row[8 * m + 2 * p] + static_cast<Word>(j);
        const Word lower = 8 * row[8 * m + 2 * p + 1] + static_cast<Word>(j);
        expected[4 * static_cast<std::size_t>(kThread[j][p]) + m] = upper | lower << 16;
      }
  CHECK(ldmatrix(true, behind_another, coded_rows(), row) == expected);
}

TEST_CASE("ldmatrix lets lanes share a row", "[simt]") {
  const bool behind_another = GENERATE(false, true);
  const std::array<Word, 32> row{};  // all at row 0
  const Words r = ldmatrix(false, behind_another, coded_rows(), row);
  for (std::size_t l = 0; l < 32; ++l)
    for (std::size_t m = 0; m < 4; ++m) {
      const Word first = static_cast<Word>(2 * (l % 4));
      CHECK(r[4 * l + m] == (first | (first + 1) << 16));
    }
}

TEST_CASE("mma multiplies matrices of integers exactly", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const int tiles = GENERATE(1, 8);
  CAPTURE(name(dtype), tiles);
  const auto integer = integers(dtype);
  Floats c(static_cast<std::size_t>(kLanes * tiles * 4)), expected(c.size());
  for (int tile = 0; tile < tiles; ++tile)
    for (int i = 0; i < kM; ++i)
      for (int n = 0; n < kN; ++n) {
        int sum = code_of_c(tile, i, n);  // below 2^20: exact in fp32, in any order
        c[place_in_d(0, tiles, tile, i, n)] = static_cast<float>(sum);
        for (int k = 0; k < kK; ++k) sum += code_of_a(i, k) * code_of_b(tile, k, n);
        expected[place_in_d(0, tiles, tile, i, n)] = static_cast<float>(sum);
      }
  CHECK(mma(dtype, tiles, coded_a(integer), coded_b(integer, tiles), c) == expected);
}

TEST_CASE("each element of A multiplies its row of B", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const auto integer = integers(dtype);
  Words a(kM * kK * kLanes * 4);
  Floats expected(kM * kK * kLanes * 4);
  for (int i = 0; i < kM; ++i)
    for (int k = 0; k < kK; ++k) {
      const auto trial = static_cast<std::size_t>(kK * i + k);
      set(a, trial, 4, place_in_a(i, k), integer[1]);
      for (int n = 0; n < kN; ++n)
        expected[place_in_d(trial, 1, 0, i, n)] = static_cast<float>(code_of_b(0, k, n));
    }
  const Words b = repeated(coded_b(integer, 1), kM * kK);
  CHECK((mma(dtype, 1, a, b, Floats(expected.size())) == expected));
}

TEST_CASE("each element of B multiplies its column of A", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const auto integer = integers(dtype);
  Words b(kK * kN * kLanes * 2);
  Floats expected(kK * kN * kLanes * 4);
  for (int k = 0; k < kK; ++k)
    for (int n = 0; n < kN; ++n) {
      const auto trial = static_cast<std::size_t>(kN * k + n);
      set(b, trial, 2, place_in_b(k, n), integer[1]);
      for (int i = 0; i < kM; ++i)
        expected[place_in_d(trial, 1, 0, i, n)] = static_cast<float>(code_of_a(i, k));
    }
  const Words a = repeated(coded_a(integer), kK * kN);
  CHECK((mma(dtype, 1, a, b, Floats(expected.size())) == expected));
}

TEST_CASE("mma reads signs, subnormals and infinities", "[simt]") {
  const Dtype dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const double smallest = std::ldexp(1.0, dtype == Dtype::bf16 ? -133 : -24);
  const double infinity = INFINITY;
  struct Row {
    double a, b, product;
  };
  const Row row =
      GENERATE_COPY(Row{-3, 0.5, -1.5}, Row{-2, -4, 8}, Row{smallest, 1024, 1024 * smallest},
                    Row{infinity, -1, -infinity}, Row{infinity, 0, NAN});
  CAPTURE(name(dtype), row.a, row.b);
  // bf16's subnormals times 2^10 stay subnormal in fp32's smallest binades: only fp16's are asked.
  if (dtype == Dtype::bf16 && row.a == smallest) return;
  Words a(kLanes * 4), b(kLanes * 2);
  set(a, 0, 4, place_in_a(5, 11), bits_of(dtype, row.a));
  set(b, 0, 2, place_in_b(11, 6), bits_of(dtype, row.b));
  const float d = mma(dtype, 1, a, b, Floats(kLanes * 4))[place_in_d(0, 1, 0, 5, 6)];
  if (std::isnan(row.product))
    CHECK(std::isnan(d));
  else
    CHECK(d == row.product);
}
