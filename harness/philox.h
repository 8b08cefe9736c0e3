#pragma once

#include <Random123/philox.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "cases/dtype.h"
#include "cases/sha256.h"

namespace attest {

/// The 256 random bits of one tensor element, and the numbers made from them by integer steps, so
/// that every language and machine gets the same bits. The three numbers of one draw are not
/// independent of each other, except normal() and uniform().
struct Draw {
  r123::Philox4x64::ctr_type word;

  /// Sum of twelve uniforms k / 2^16 minus 6: mean -0.0001, variance 1, in [-6, 6). The uniforms
  /// are the 16-bit fields of words 0, 1 and 2.
  double normal() const {
    constexpr std::uint64_t kEven = 0x0000FFFF0000FFFF;  // two fields of four, 32 bits apart
    std::uint64_t pair = 0;
    for (std::size_t n = 0; n < 3; ++n) pair += (word[n] & kEven) + (word[n] >> 16 & kEven);
    return static_cast<double>((pair & 0xFFFFFFFF) + (pair >> 32)) * 0x1p-16 - 6;
  }

  /// In [0, 1): the top 24 bits of word 3.
  double uniform() const { return static_cast<double>(word[3] >> 40) * 0x1p-24; }

  /// normal() * 2^k, where k = trailing zeros of word 3 up to kMaxTail has P(k) = 2^-(k+1): density
  /// ~ 1/x^2 up to 256, and 6 * 256 is finite in every type.
  static constexpr int kMaxTail = 8;
  double heavy() const { return normal() * std::ldexp(1.0, tail()); }
  int tail() const { return std::min(std::countr_zero(word[3]), kMaxTail); }
};

/// The stream of one tensor: Philox4x64-10 (Salmon et al., SC'11; Random123) keyed with the seed
/// and the tensor's name, one block an element.
struct Stream {
  r123::Philox4x64::key_type key;

  /// k0 = seed, k1 = the first 16 hex digits of SHA-256(name), read as one number.
  Stream(std::uint64_t seed, std::string_view tensor)
      : key{{seed, std::stoull(sha256(tensor).substr(0, 16), nullptr, 16)}} {}

  /// Element [b, s, h, d] has the counter (d + 1, s, h, b), lowest word first. So one row is
  /// numpy.random.Philox(key=[k0, k1], counter=[0, s, h, b]).random_raw(4 * D), where key must be
  /// a uint64 array (numpy takes a plain list of such numbers through float64).
  Draw at(Index b, Index s, Index h, Index d) const {
    const auto u = [](Index n) { return static_cast<std::uint64_t>(n); };
    return {r123::Philox4x64()({{u(d) + 1, u(s), u(h), u(b)}}, key)};
  }
};

}  // namespace attest
