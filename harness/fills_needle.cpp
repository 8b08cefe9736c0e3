// Fill needle: each query points at one key that it sees, so hard that p of every other key is 0 in
// fp32, and V spells out which key that is. The answer is o = v[c], exactly.
//
//   k[j,d] = r[d] * (bit (d mod n) of j ? 1 : -1)   r[d] = +-1 drawn per batch, head, channel
//   q[i,d] = a * k[c(i,h), d]
//
// Keys whose numbers differ in a bit differ in at least floor(D / n) channels, so the winner leads
// by at least 2 a floor(D / n) / sqrt(D) nats: `amplitude` makes that 110. n = min(D, 24) covers
// all keys at D >= 24; below, keys that agree in their low D bits are equal in K and V and share
// the weight, which leaves o as it is.
#include <algorithm>
#include <cmath>

#include "harness/fills.h"

namespace attest {
namespace {

constexpr Index kKeyBits = 24;      // the largest Sk is 2^24
constexpr double kMargin = 110;     // nats; exp(-104) is below half of the smallest fp32 subnormal
constexpr Index kTile = 64;         // keys that kernels take per step
constexpr Index kDigitPeriod = 10;  // channels until the digits of V repeat

Index code_bits(Index D) { return std::min(D, kKeyBits); }

/// Rounded up to a multiple of 4 and below 512: exact in every type.
double amplitude(Index D) {
  const Index distance = D / code_bits(D);
  const double exact =
      kMargin * std::sqrt(static_cast<double>(D)) / static_cast<double>(2 * distance);
  return 4 * std::ceil(exact / 4);
}

/// k[b, j, g, d] of the stream of k.
double code(const Stream& k, Index b, Index j, Index g, Index d, Index bits) {
  const double r = k.at(b, 0, g, d).word[3] >> 63 ? 1 : -1;
  return j >> d % bits & 1 ? r : -r;
}

/// The key that a row points at: ends and middle of what it sees, the edges of a random tile, and
/// a random key, in turn over rows and heads. Key 0 when it sees none (o must be 0 then).
Index target(const Row& row) {
  const auto [begin, end] = row.problem.visible(row.b, row.s);
  if (begin == end) return 0;
  const Draw draw = row.at(0);
  const auto below = [](std::uint64_t bits, Index n) {
    return static_cast<Index>(bits % static_cast<std::uint64_t>(n));
  };
  const Index edge = begin + kTile * below(draw.word[0], (end - begin) / kTile + 1);
  const Index choices[] = {
      begin, end - 1,  end - 2,           edge - 1,
      edge,  edge + 1, (begin + end) / 2, begin + below(draw.word[1], end - begin)};
  return std::clamp<Index>(choices[(row.s + row.h) % 8], begin, end - 1);
}

}  // namespace

void needle_q(const Row& row, std::span<double> out) {
  const Problem& p = row.problem;
  const Index c = target(row), g = row.h / (p.H / p.G), bits = code_bits(p.D);
  const double a = amplitude(p.D);
  for (std::size_t d = 0; d < out.size(); ++d)
    out[d] = a * code(row.streams.k, row.b, c, g, static_cast<Index>(d), bits);
}

void needle_k(const Row& row, std::span<double> out) {
  const Index bits = code_bits(row.problem.D);
  for (std::size_t d = 0; d < out.size(); ++d)
    out[d] = code(row.own, row.b, row.s, row.h, static_cast<Index>(d), bits);
}

// Channel d holds 1 + 16 * (d mod 16) + digit (d mod 10) of: six base-16 digits of the key, two of
// its head, two of its batch, lowest first. Never 0, at most 256: exact in every type.
void needle_v(const Row& row, std::span<double> out) {
  const Index key = row.s & ((Index{1} << code_bits(row.problem.D)) - 1);
  const Index id[] = {key,       key >> 4, key >> 8,   key >> 12, key >> 16,
                      key >> 20, row.h,    row.h >> 4, row.b,     row.b >> 4};
  for (std::size_t d = 0; d < out.size(); ++d)
    out[d] = static_cast<double>(1 + 16 * static_cast<Index>(d % 16) + (id[d % kDigitPeriod] & 15));
}

}  // namespace attest
