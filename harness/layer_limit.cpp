#include "harness/layer_limit.h"

#include <algorithm>
#include <limits>

#include "cases/stages.h"

namespace attest {
namespace {

/// Numbers of tensors that are rounded on the way to y.
struct Roundings {
  double after;   ///< o and what follows
  double values;  ///< before the keys are averaged: on the way of the values, and p
  double scores;  ///< on the way of the scores
};

Roundings roundings(const Problem& p) {
  if (p.variant == Variant::mla)                // after: u, o, y; kv_down, latent, v, p
    return {3, 4, p.layer.Lq > 0 ? 7.0 : 5.0};  // c_q, c_q_norm, q, q_rot; kv_down, latent, k
  return {p.layer.gate ? 4.0 : 2.0, 2, 4};      // q and k, before and after they turn
}

/// Sums over the elements of o.
struct Spread {
  double o2 = 0;           ///< o^2
  double independent = 0;  ///< sum_j P_j^2 v_j^2 at most: errors of each key by itself
  double common = 0;       ///< (sum_j P_j |v_j|)^2: errors that all keys share
};

Spread spread_of(const Problem& p, const Truth& truth) {
  const Tensor& attended = truth.outputs.at(truth.outputs.find("u") ? "u" : "o");
  const auto o = attended.as<double>();
  const auto of = [&](const char* name) { return truth.conditioning.at(name).as<double>(); };
  const auto abs_mag = of("abs_mag"), moment = of("second_moment"), abs_v = of("visible_abs_v");
  const auto visible = of("visible"), l = of("row_sum");
  const auto width = static_cast<std::size_t>(attended.shape()[3]);
  const auto H = static_cast<std::size_t>(p.H), Sq = static_cast<std::size_t>(p.Sq);
  Spread sums;
  for (std::size_t n = 0; n < o.size(); ++n) {
    const std::size_t h = n / width % H, i = n / width / H % Sq, b = n / width / H / Sq;
    const std::size_t row = (b * H + h) * Sq + i;
    if (visible[row] == 0) continue;
    // The moment takes p down to a power of two, and leaves keys with p = 1 out.
    const double top = abs_v[n] / (visible[row] * l[row]), common = abs_mag[n] * abs_mag[n];
    sums.o2 += o[n] * o[n];
    sums.common += common;
    sums.independent += std::min(common, 4 * moment[n] + top * top);
  }
  return sums;
}

double mean_of_squares(std::span<const double> x) {
  double sum = 0;
  for (const double value : x) sum += value * value;
  return x.empty() ? 0 : sum / static_cast<double>(x.size());
}

}  // namespace

double layer_nmse_limit(const Problem& p, const Truth& truth) {
  const Roundings n = roundings(p);
  const Spread sums = spread_of(p, truth);
  if (sums.o2 == 0) return std::numeric_limits<double>::infinity();
  const double a2 = mean_of_squares(truth.conditioning.at("mean_a").as<double>());
  const double of_score = 4 * a2 / static_cast<double>(core_of(p).D);
  const double of_scores = sums.independent + sums.common / static_cast<double>(p.layer.E);
  const double before = (n.values * sums.independent + n.scores * of_score * of_scores) / sums.o2;
  const double u = unit_roundoff(p.dtype);
  return 4 * u * u / 3 * (n.after + before);
}

}  // namespace attest
