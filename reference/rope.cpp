#include "reference/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace attest::reference {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

double llama3_frequency(const Rope& rope, double f) {
  const double turns = static_cast<double>(rope.orig) * f / kTurn;
  if (turns > rope.high_freq_factor) return f;
  if (turns < rope.low_freq_factor) return f / rope.factor;
  const double s = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - s) * f / rope.factor + s * f;
}

double yarn_frequency(const Rope& rope, double f, double ramp) {
  return f / rope.factor * ramp + f * (1 - ramp);
}

}  // namespace

CorrectionRange yarn_correction_range(const Rope& rope, Index D) {
  const auto Dr = static_cast<double>(rotary_width(rope, D));
  const auto orig = static_cast<double>(rope.orig);
  const auto pair = [&](double turns) {
    return Dr * std::log(orig / (kTurn * turns)) / (2 * std::log(rope.theta));
  };
  double low = pair(rope.beta_fast), high = pair(rope.beta_slow);
  if (rope.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, Dr - 1);
  if (low == high) high += 0.001;
  return {low, high};
}

double yarn_ramp(const CorrectionRange& range, Index r) {
  return std::clamp((static_cast<double>(r) - range.low) / (range.high - range.low), 0.0, 1.0);
}

std::vector<double> inverse_frequencies(const Rope& rope, Index D) {
  if (rope.kind == RopeKind::none) return {};
  const Index Dr = rotary_width(rope, D);
  const CorrectionRange range =
      rope.kind == RopeKind::yarn ? yarn_correction_range(rope, D) : CorrectionRange{};
  std::vector<double> frequencies;
  for (Index r = 0; r < Dr / 2; ++r) {
    double f = std::pow(rope.theta, -2.0 * static_cast<double>(r) / static_cast<double>(Dr));
    if (rope.kind == RopeKind::linear) f = f / rope.factor;
    if (rope.kind == RopeKind::llama3) f = llama3_frequency(rope, f);
    if (rope.kind == RopeKind::yarn) f = yarn_frequency(rope, f, yarn_ramp(range, r));
    frequencies.push_back(f);
  }
  return frequencies;
}

double yarn_mscale(double factor, double m) { return 1 + 0.1 * m * std::log(factor); }

double concentration(const Rope& rope) {
  if (rope.kind != RopeKind::yarn) return 1;
  return yarn_mscale(rope.factor, rope.mscale) / yarn_mscale(rope.factor, rope.mscale_all_dim);
}

double mla_scale_factor(const Rope& rope) {
  if (rope.kind != RopeKind::yarn) return 1;
  const double m = yarn_mscale(rope.factor, rope.mscale_all_dim);
  return m * m;
}

RopeTable rope_table(const Rope& rope, Index D, std::span<const Index> positions) {
  const std::vector<double> frequencies = inverse_frequencies(rope, D);
  const double A = concentration(rope);
  const auto rows = static_cast<Index>(positions.size());
  const auto pairs = static_cast<Index>(frequencies.size());
  RopeTable table{rope.pairing, rows, 2 * pairs, {}, {}};
  for (const Index position : positions)
    for (const double frequency : frequencies) {
      const double angle = static_cast<double>(position) * frequency;
      table.cos.push_back(A * std::cos(angle));
      table.sin.push_back(A * std::sin(angle));
    }
  return table;
}

void rotate(const RopeTable& table, Index heads, Index D, double* x) {
  const Index pairs = table.Dr / 2;
  // Members of pair r, where they stand and where they go: first + r * step, second + r * step.
  const bool in_halves = table.pairing == RopePairing::half;
  const bool to_halves = table.pairing != RopePairing::interleaved;
  const Index step = in_halves ? 1 : 2, second = in_halves ? pairs : 1;
  const Index to_step = to_halves ? 1 : 2, to_second = to_halves ? pairs : 1;

#pragma omp parallel for schedule(static)
  for (Index n = 0; n < heads * table.rows; ++n) {
    double* row = x + n * D;  // [D]
    const std::vector<double> old(row, row + table.Dr);
    const Index entry = n % table.rows * pairs;
    for (Index r = 0; r < pairs; ++r) {
      const double a = old[r * step], b = old[r * step + second];
      const double cos = table.cos[entry + r], sin = table.sin[entry + r];
      row[r * to_step] = a * cos - b * sin;
      row[r * to_step + to_second] = b * cos + a * sin;
    }
  }
}

}  // namespace attest::reference
