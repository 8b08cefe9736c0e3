#include "cuda/kernels/rope_table.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attest {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

/// f / factor at share 0, f at share 1.
double blend(double f, double factor, double share) { return (1 - share) * f / factor + share * f; }

double llama3_frequency(const Rope& rope, double f) {
  const double orig = static_cast<double>(rope.orig), wavelength = kTurn / f;
  if (wavelength < orig / rope.high_freq_factor) return f;
  if (wavelength > orig / rope.low_freq_factor) return f / rope.factor;
  const double share =
      (orig / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return blend(f, rope.factor, share);
}

/// The pair, as a real number, that turns `turns` times within the original context.
double yarn_pair(const Rope& rope, double Dr, double turns) {
  return Dr * std::log(static_cast<double>(rope.orig) / (kTurn * turns)) /
         (2 * std::log(rope.theta));
}

/// Pairs up to low are kept, those from high on divided.
struct YarnRange {
  double low, high;
};

YarnRange yarn_range(const Rope& rope, double Dr) {
  YarnRange range{yarn_pair(rope, Dr, rope.beta_fast), yarn_pair(rope, Dr, rope.beta_slow)};
  if (rope.truncate) range = {std::floor(range.low), std::ceil(range.high)};
  range = {std::max(range.low, 0.0), std::min(range.high, Dr - 1)};
  if (range.low == range.high) range.high += 0.001;  // a step
  return range;
}

double yarn_length(double factor, double m) {
  return factor <= 1 ? 1 : 1 + 0.1 * m * std::log(factor);
}

}  // namespace

std::vector<double> rope_frequencies(const Rope& rope, Index head_width) {
  if (rope.kind == RopeKind::none) return {};
  const Index pairs = rotary_width(rope, head_width) / 2;
  const double Dr = 2 * static_cast<double>(pairs);
  const YarnRange range = rope.kind == RopeKind::yarn ? yarn_range(rope, Dr) : YarnRange{};
  std::vector<double> all;
  for (Index r = 0; r < pairs; ++r) {
    const double f = std::pow(rope.theta, -2 * static_cast<double>(r) / Dr);
    switch (rope.kind) {
      case RopeKind::none:  // returned above
      case RopeKind::unscaled:
        all.push_back(f);
        break;
      case RopeKind::linear:
        all.push_back(f / rope.factor);
        break;
      case RopeKind::llama3:
        all.push_back(llama3_frequency(rope, f));
        break;
      case RopeKind::yarn: {
        const double divided = (static_cast<double>(r) - range.low) / (range.high - range.low);
        all.push_back(blend(f, rope.factor, 1 - std::clamp(divided, 0.0, 1.0)));
        break;
      }
    }
  }
  return all;
}

double rope_concentration(const Rope& rope) {
  if (rope.kind != RopeKind::yarn) return 1;
  return yarn_length(rope.factor, rope.mscale) / yarn_length(rope.factor, rope.mscale_all_dim);
}

RopeTable rope_table(const Problem& p) {
  const std::vector<double> frequencies =
      rope_frequencies(p.rope, p.variant == Variant::mla ? p.Dr : p.D);
  const double concentration = rope_concentration(p.rope);
  RopeTable table;
  table.pairs = static_cast<Index>(frequencies.size());
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (const double frequency : frequencies) {
        const double angle = static_cast<double>(p.position(b, i)) * frequency;
        table.cos.push_back(static_cast<float>(concentration * std::cos(angle)));
        table.sin.push_back(static_cast<float>(concentration * std::sin(angle)));
      }
  return table;
}

}  // namespace attest
