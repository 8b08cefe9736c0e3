#pragma once

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "cases/problem.h"
#include "cases/tensor.h"
#include "cases/truth.h"

// Attention and its conditioning straight from the definitions in cases/truth.h, in long double:
// one loop a sum, nothing shared with the reference.
namespace attest::naive {

using Real = long double;
using Values = std::map<std::string, std::vector<Real>>;  // row-major, by tensor name

/// An fp64 tensor of four axes, whose element at (b, s, h, d) is value(b, s, h, d).
template <class Value>
Tensor tensor(const char* name, const std::vector<Index>& shape, Value value) {
  Tensor result(name, Dtype::fp64, "BSHD", shape);
  double* next = result.as<double>().data();
  for (Index b = 0; b < shape[0]; ++b)
    for (Index s = 0; s < shape[1]; ++s)
      for (Index h = 0; h < shape[2]; ++h)
        for (Index d = 0; d < shape[3]; ++d) *next++ = value(b, s, h, d);
  return result;
}

/// q, k and v of a problem, from three functions of (b, s, h, d).
template <class Q, class K, class V>
TensorSet inputs(const Problem& n, Q q, K k, V v) {
  TensorSet set;
  set.add(tensor("q", {n.B, n.Sq, n.H, n.D}, q));
  set.add(tensor("k", {n.B, n.Sk, n.G, n.D}, k));
  set.add(tensor("v", {n.B, n.Sk, n.G, n.Dv}, v));
  return set;
}

/// Adds what the problem's scores need beside q and k.
template <class Draw>
void add_score_inputs(const Problem& n, TensorSet& set, Draw draw) {
  const auto fill = [&](Tensor x) {
    for (double& value : set.add(std::move(x)).template as<double>()) value = draw();
  };
  if (n.alibi) fill(Tensor("alibi_slopes", Dtype::fp64, "H", {n.H}));
  if (n.sink == Sink::learned) fill(Tensor("sinks", Dtype::fp64, "H", {n.H}));
  if (n.attn_bias != PerPair::none) {
    fill(Tensor("attn_bias", Dtype::fp64, "BHSK", n.pair_shape(n.attn_bias)));
    for (double& value : set.at("attn_bias").as<double>())
      if (draw() > 1.5) value = -HUGE_VAL;
  }
  if (n.attn_mask != PerPair::none) {
    Tensor& mask = set.add(Tensor("attn_mask", Dtype::boolean, "BHSK", n.pair_shape(n.attn_mask)));
    for (std::uint8_t& masked : mask.as<std::uint8_t>()) masked = draw() > 0.5;
  }
}

/// Independent normal numbers everywhere, but NaN for keys that a batch entry does not have.
inline TensorSet random_inputs(const Problem& n, unsigned seed = 1) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  const auto draw = [&](Index, Index, Index, Index) { return normal(engine); };
  const auto of_key = [&](Index b, Index j, Index h, Index d) {
    const double x = draw(b, j, h, d);
    return j < n.length(b) ? x : std::nan("");
  };
  TensorSet set = inputs(n, draw, of_key, of_key);
  add_score_inputs(n, set, [&] { return normal(engine); });
  return set;
}

/// Element (b, h, i, j) of attn_bias or attn_mask [1 or B, 1 or H, Sq, Sk].
inline Real of_pair(const Problem& n, const Tensor& x, Index b, Index h, Index i, Index j) {
  const Index own_b = x.shape()[0] == 1 ? 0 : b, own_h = x.shape()[1] == 1 ? 0 : h;
  return static_cast<Real>(x.value(((own_b * x.shape()[1] + own_h) * n.Sq + i) * n.Sk + j));
}

/// Position of a query minus that of a key: counted from the last key of the batch entry's S, or
/// from the first where the mask is top-left.
inline Index ahead(const Problem& n, Index b, Index i, Index j) {
  const Index S = n.lens.empty() ? n.Sk : n.lens[static_cast<std::size_t>(b)];
  return n.mask == Mask::causal_top_left ? i - j : i + S - n.Sq - j;
}

inline bool sees(const Problem& n, const TensorSet& in, Index b, Index h, Index i, Index j) {
  const Index S = n.lens.empty() ? n.Sk : n.lens[static_cast<std::size_t>(b)];
  const Index distance = ahead(n, b, i, j);
  if (j >= S) return false;
  if (n.mask != Mask::none && distance < 0) return false;
  if (n.window.left >= 0 && distance > n.window.left) return false;
  if (n.window.right >= 0 && -distance > n.window.right) return false;
  if (n.attn_mask != PerPair::none && of_pair(n, in.at("attn_mask"), b, h, i, j) != 0) return false;
  return n.attn_bias == PerPair::none || std::isfinite(of_pair(n, in.at("attn_bias"), b, h, i, j));
}

/// What a scaled score becomes before the softmax.
inline Real shaped(const Problem& n, const TensorSet& in, Index b, Index h, Index i, Index j,
                   Real s) {
  if (n.softcap > 0) s = n.softcap * std::tanh(s / n.softcap);
  if (n.alibi) s -= static_cast<Real>(in.at("alibi_slopes").value(h)) * std::abs(ahead(n, b, i, j));
  if (n.attn_bias != PerPair::none) s += of_pair(n, in.at("attn_bias"), b, h, i, j);
  return s;
}

/// A sink is one more key at the end, without a value.
constexpr Index kSinkKey = -1;

/// The keys that one row sees, and its sink.
struct Keys {
  std::vector<Index> j;        ///< their positions
  std::vector<Real> s, a, p;   ///< scores, scale |q| |k_j|, exp(s - m)
  Real m = -HUGE_VALL, l = 0;  ///< largest score and sum of p

  void add(Index at, Real score, Real bound) {
    j.push_back(at);
    s.push_back(score);
    a.push_back(bound);
    m = std::fmax(m, score);
  }
};

inline Keys keys_of(const Problem& n, const TensorSet& in, Index b, Index i, Index h) {
  const auto q = in.at("q").as<double>(), k = in.at("k").as<double>();
  const Real scale = n.scale > 0 ? n.scale : 1 / std::sqrt(static_cast<Real>(n.D));
  const Index g = h / (n.H / n.G);
  Keys keys;
  for (Index j = 0; j < n.Sk; ++j) {
    if (!sees(n, in, b, h, i, j)) continue;
    Real dot = 0, qq = 0, kk = 0;
    for (Index d = 0; d < n.D; ++d) {
      const Real x = q[static_cast<std::size_t>(((b * n.Sq + i) * n.H + h) * n.D + d)];
      const Real y = k[static_cast<std::size_t>(((b * n.Sk + j) * n.G + g) * n.D + d)];
      dot += x * y;
      qq += x * x;
      kk += y * y;
    }
    keys.add(j, shaped(n, in, b, h, i, j, scale * dot), scale * std::sqrt(qq) * std::sqrt(kk));
  }
  if (n.sink == Sink::one) keys.add(kSinkKey, 0, 0);
  if (n.sink == Sink::learned) keys.add(kSinkKey, in.at("sinks").value(h), 0);
  for (const Real s : keys.s) keys.p.push_back(std::exp(s - keys.m));
  for (const Real p : keys.p) keys.l += p;
  return keys;
}

/// Appends the numbers of one row to those of [B, H, Sq].
inline void append_row(Values& to, const Keys& keys) {
  Real mean_a = 0, mean_gap = 0, max_a = 0, max_gap = 0, raises = 0, running = -HUGE_VALL;
  for (std::size_t n = 0; n < keys.s.size(); ++n) {
    const Real weight = keys.p[n] / keys.l, gap = keys.m - keys.s[n];
    mean_a += weight * keys.a[n];
    mean_gap += weight * gap;
    max_a = std::fmax(max_a, keys.a[n]);
    max_gap = std::fmax(max_gap, gap);
    if (keys.s[n] > running) ++raises;
    running = std::fmax(running, keys.s[n]);
  }
  to["lse"].push_back(keys.m + std::log(keys.l));
  to["visible"].push_back(static_cast<Real>(keys.s.size()));
  to["row_max"].push_back(keys.m);
  to["row_sum"].push_back(keys.l);
  to["mean_a"].push_back(mean_a);
  to["mean_gap"].push_back(mean_gap);
  to["max_a"].push_back(max_a);
  to["max_gap"].push_back(max_gap);
  to["max_raises"].push_back(raises);
}

/// Appends one element of [B, Sq, H, Dv]; v_j: the values of the row's keys in channel d.
inline void append_element(Values& to, const Keys& keys, const std::vector<Real>& v_j) {
  Real o = 0, mag = 0, mag_a = 0, mag_gap = 0, moment = 0, sum = 0;
  for (std::size_t n = 0; n < v_j.size(); ++n) {
    const Real weight = keys.p[n] / keys.l, v = v_j[n];
    const Real binade = std::exp2(std::floor(std::log2(keys.p[n]))) * v / keys.l;
    o += weight * v;
    mag += weight * std::fabs(v);
    mag_a += weight * keys.a[n] * std::fabs(v);
    mag_gap += weight * (keys.m - keys.s[n]) * std::fabs(v);
    if (keys.p[n] != 1) moment += binade * binade;
    sum += std::fabs(v);
  }
  to["o"].push_back(o);
  to["abs_mag"].push_back(mag);
  to["abs_mag_a"].push_back(mag_a);
  to["abs_mag_gap"].push_back(mag_gap);
  to["second_moment"].push_back(moment);
  to["visible_abs_v"].push_back(sum);
}

/// Everything that Truth holds.
inline Values attend(const Problem& n, const TensorSet& in) {
  const auto v = in.at("v").as<double>();
  Values to;
  for (Index b = 0; b < n.B; ++b) {
    for (Index h = 0; h < n.H; ++h)
      for (Index i = 0; i < n.Sq; ++i) append_row(to, keys_of(n, in, b, i, h));
    for (Index i = 0; i < n.Sq; ++i)
      for (Index h = 0; h < n.H; ++h) {
        const Keys keys = keys_of(n, in, b, i, h);
        for (Index d = 0; d < n.Dv; ++d) {
          std::vector<Real> v_j;
          for (const Index j : keys.j) {
            if (j == kSinkKey) {
              v_j.push_back(0);
              continue;
            }
            const Index at = ((b * n.Sk + j) * n.G + h / (n.H / n.G)) * n.Dv + d;
            v_j.push_back(v[static_cast<std::size_t>(at)]);
          }
          append_element(to, keys, v_j);
        }
      }
  }
  return to;
}

}  // namespace attest::naive
