#include "cases/rope.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numbers>
#include <variant>
#include <vector>

#include "cases/case.h"
#include "cases/error.h"
#include "cases/number.h"

namespace attest {
namespace {

constexpr std::array<std::string_view, 5> kKinds = {"none", "default", "linear", "llama3", "yarn"};
constexpr std::array<std::string_view, 3> kPairings = {"half", "interleaved", "deinterleave"};
constexpr std::array<std::string_view, 2> kBools = {"false", "true"};
constexpr Index kMaxOrig = Index{1} << 40;
constexpr double kMaxFactor = 1e6, kMaxMscale = 100;  // far beyond models, far from overflow

constexpr unsigned bit(RopeKind kind) { return 1u << static_cast<unsigned>(kind); }
constexpr unsigned kYarn = bit(RopeKind::yarn), kLlama3 = bit(RopeKind::llama3);
constexpr unsigned kScaled = kYarn | kLlama3 | bit(RopeKind::linear);
constexpr unsigned kAny = kScaled | bit(RopeKind::unscaled);

// One key of the text: a member of Rope and the kinds that have it.
struct Key {
  std::string_view name;
  unsigned kinds;
  std::variant<double Rope::*, Index Rope::*, bool Rope::*, RopePairing Rope::*> member;
};

constexpr std::array<Key, 12> kKeys = {{
    {"theta", kAny, &Rope::theta},
    {"dim", kAny, &Rope::dim},
    {"pairing", kAny, &Rope::pairing},
    {"factor", kScaled, &Rope::factor},
    {"orig", kLlama3 | kYarn, &Rope::orig},
    {"beta_fast", kYarn, &Rope::beta_fast},
    {"beta_slow", kYarn, &Rope::beta_slow},
    {"mscale", kYarn, &Rope::mscale},
    {"mscale_all_dim", kYarn, &Rope::mscale_all_dim},
    {"truncate", kYarn, &Rope::truncate},
    {"low_freq_factor", kLlama3, &Rope::low_freq_factor},
    {"high_freq_factor", kLlama3, &Rope::high_freq_factor},
}};

std::string text_of(double value) { return shortest(value); }
std::string text_of(Index value) { return concat(value); }
std::string text_of(bool value) { return std::string(kBools[value]); }
std::string text_of(RopePairing value) { return std::string(name(value)); }

template <std::size_t N>
std::size_t parse_word(std::string_view where, const std::array<std::string_view, N>& words,
                       std::string_view text) {
  std::string known;
  for (std::size_t n = 0; n < N; ++n) {
    if (words[n] == text) return n;
    known += concat(' ', words[n]);
  }
  throw Error(concat(where, ": must be one of", known, ", got ", text.empty() ? "nothing" : text));
}

void parse_value(std::string_view key, std::string_view text, double& value) {
  value = parse_number("rope", key, text);
}
void parse_value(std::string_view key, std::string_view text, Index& value) {
  constexpr Index kLimit = std::numeric_limits<Index>::max();
  value = parse_integer("rope", key, text, -kLimit, kLimit);
}
void parse_value(std::string_view key, std::string_view text, bool& value) {
  value = parse_word(concat("rope ", key), kBools, text) == 1;
}
void parse_value(std::string_view key, std::string_view text, RopePairing& value) {
  value = static_cast<RopePairing>(parse_word(concat("rope ", key), kPairings, text));
}

std::string keys_of(RopeKind kind) {
  std::string keys;
  for (const Key& key : kKeys)
    if (key.kinds & bit(kind)) keys += concat(' ', key.name);
  return keys.empty() ? " nothing" : keys;
}

void check_key(const Key& key, RopeKind kind, std::string_view value) {
  ATTEST_CHECK(key.kinds & bit(kind), "rope: ", name(kind), " takes", keys_of(kind), ", got ",
               key.name, ":", value, "; leave it out or choose another kind");
}

void check_range(std::string_view key, double value, double low, double high) {
  ATTEST_CHECK(value >= low && value <= high, "rope: ", key, " must lie in [", low, ", ", high,
               "], got ", key, ":", text_of(value));
}

void check_above(std::string_view key, double value, double low) {
  ATTEST_CHECK(value > low && std::isfinite(value), "rope: ", key, " must be above ", low,
               " and finite, got ", key, ":", text_of(value));
}

// Outside these bounds the published formula turns its ramp around or leaves it outside the pairs.
void check_yarn(const Rope& rope) {
  check_above("beta_slow", rope.beta_slow, 0);
  check_above("beta_fast", rope.beta_fast, 0);
  ATTEST_CHECK(rope.beta_fast >= rope.beta_slow,
               "rope: beta_fast must be at least beta_slow, got beta_fast:",
               text_of(rope.beta_fast), " beta_slow:", text_of(rope.beta_slow), "; swap them");
  check_range("mscale", rope.mscale, 0, kMaxMscale);
  check_range("mscale_all_dim", rope.mscale_all_dim, 0, kMaxMscale);
  const double turn = 2 * std::numbers::pi, orig = static_cast<double>(rope.orig);
  ATTEST_CHECK(orig >= turn * rope.beta_slow,
               "rope: orig must be at least 2 pi beta_slow, so that the fastest pair turns ",
               "beta_slow times, got orig:", rope.orig, " beta_slow:", text_of(rope.beta_slow));
  ATTEST_CHECK(
      orig <= turn * rope.beta_fast * rope.theta,
      "rope: orig must be at most 2 pi beta_fast theta, so that some pair turns less than ",
      "beta_fast times, got orig:", rope.orig, " beta_fast:", text_of(rope.beta_fast),
      " theta:", text_of(rope.theta));
}

void check_llama3(const Rope& rope) {
  check_above("low_freq_factor", rope.low_freq_factor, 0);
  check_above("high_freq_factor", rope.high_freq_factor, 0);
  ATTEST_CHECK(rope.high_freq_factor > rope.low_freq_factor,
               "rope: high_freq_factor must be above low_freq_factor, got low_freq_factor:",
               text_of(rope.low_freq_factor), " high_freq_factor:", text_of(rope.high_freq_factor));
}

}  // namespace

std::string_view name(RopeKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }
std::string_view name(RopePairing pairing) { return kPairings[static_cast<std::size_t>(pairing)]; }

Index rotary_width(const Rope& rope, Index head_width) {
  return rope.dim == 0 ? head_width : rope.dim;
}

void check(const Rope& rope, Index head_width) {
  const Rope defaults;
  for (const Key& key : kKeys)
    std::visit(
        [&](auto member) {
          if (rope.*member != defaults.*member) check_key(key, rope.kind, text_of(rope.*member));
        },
        key.member);
  if (rope.kind == RopeKind::none) return;

  const Index width = rotary_width(rope, head_width);
  ATTEST_CHECK(width >= 2 && width <= head_width && width % 2 == 0,
               "rope: the rotary width must be even and lie in [2, head width], got dim:", rope.dim,
               " on heads of width ", head_width, rope.dim == 0 ? "; give an even dim" : "");
  check_above("theta", rope.theta, 1);
  check_range("factor", rope.factor, 1, kMaxFactor);
  if (rope.kind == RopeKind::llama3 || rope.kind == RopeKind::yarn)
    ATTEST_CHECK(rope.orig >= 1 && rope.orig <= kMaxOrig, "rope: orig must lie in [1, ", kMaxOrig,
                 "], got orig:", rope.orig, "; give the context length of the training");
  if (rope.kind == RopeKind::yarn) check_yarn(rope);
  if (rope.kind == RopeKind::llama3) check_llama3(rope);
}

std::string print(const Rope& rope) {
  const Rope defaults;
  std::string text(name(rope.kind));
  char separator = ':';
  for (const Key& key : kKeys)
    std::visit(
        [&](auto member) {
          if (rope.*member == defaults.*member) return;
          text += concat(separator, key.name, ':', text_of(rope.*member));
          separator = ',';
        },
        key.member);
  return text;
}

Rope parse_rope(std::string_view text) {
  Rope rope;
  const std::size_t colon = std::min(text.find(':'), text.size());
  rope.kind = static_cast<RopeKind>(parse_word("rope", kKinds, text.substr(0, colon)));
  text.remove_prefix(colon);
  std::vector<std::string_view> seen;
  while (!text.empty()) {
    text.remove_prefix(1);  // the colon or comma before the key
    const std::string_view token = text.substr(0, text.find(','));
    text.remove_prefix(token.size());
    const std::size_t split = std::min(token.find(':'), token.size());
    const std::string_view word = token.substr(0, split);
    const auto key = std::find_if(kKeys.begin(), kKeys.end(),
                                  [&](const Key& candidate) { return candidate.name == word; });
    ATTEST_CHECK(split < token.size() && key != kKeys.end(), "rope: ", name(rope.kind), " takes",
                 keys_of(rope.kind), " as key:value, got '", token, "'");
    const std::string_view value = token.substr(split + 1);
    check_key(*key, rope.kind, value);
    ATTEST_CHECK(std::find(seen.begin(), seen.end(), word) == seen.end(),
                 "rope: a key must be given once, got ", word, " twice");
    seen.push_back(word);
    std::visit([&](auto member) { parse_value(word, value, rope.*member); }, key->member);
  }
  return rope;
}

}  // namespace attest
