#pragma once

#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

#include "cases/stages.h"
#include "tests/reference/naive.h"

// A layer stage by stage from the formulas, in long double: one loop a sum, nothing shared with the
// reference.
namespace attest::naive {

/// Numbers of any shape, row-major: a(b, i, h, d).
struct Array {
  std::vector<Index> shape;
  std::vector<Real> x;

  Array() = default;
  explicit Array(std::vector<Index> extents) : shape(std::move(extents)) {
    Index size = 1;
    for (const Index extent : shape) size *= extent;
    x.assign(static_cast<std::size_t>(size), 0);
  }
  explicit Array(const Tensor& tensor) : Array(tensor.shape()) {
    for (std::size_t n = 0; n < x.size(); ++n) x[n] = tensor.value(static_cast<Index>(n));
  }
  template <class... At>
  Real& operator()(At... at) {
    std::size_t n = 0, axis = 0;
    ((n = n * static_cast<std::size_t>(shape[axis++]) + static_cast<std::size_t>(at)), ...);
    return x[n];
  }
};

using Arrays = std::map<std::string, Array, std::less<>>;

/// What a stage leaves: values and magnitudes by name.
struct Results {
  Arrays y, magnitude;

  void add(const std::string& name, std::vector<Index> shape) {
    y[name] = magnitude[name] = Array(std::move(shape));
  }
};

/// Wrong ways to compute a layer, which tests show to be visible.
struct Mistakes {
  bool pairing_of_q = false, cache_before_norm = false, turn_key_twice = false;
  Real scale = 1;  ///< times the softmax scale
};

// ---- rotation ----

/// Pair r of Dr/2: read from a and b, written to to_a and to_b.
struct Pair {
  Index a, b, to_a, to_b;
};

inline Pair pair_of(RopePairing pairing, Index r, Index pairs) {
  if (pairing == RopePairing::half) return {r, r + pairs, r, r + pairs};
  if (pairing == RopePairing::interleaved) return {2 * r, 2 * r + 1, 2 * r, 2 * r + 1};
  return {2 * r, 2 * r + 1, r, r + pairs};
}

inline Real mscale(Real factor, Real m) { return 1 + m / 10 * std::log(factor); }

/// Radians a position of pair r, unscaled or YaRN.
inline Real frequency(const Rope& rope, Index r, Index Dr) {
  const Real f = 1 / std::pow(Real(rope.theta), Real(2 * r) / Real(Dr));
  if (rope.kind == RopeKind::unscaled) return f;
  const auto turning = [&](Real turns) {
    return Real(Dr) * std::log(Real(rope.orig) / (turns * 2 * std::numbers::pi_v<Real>)) /
           (2 * std::log(Real(rope.theta)));
  };
  const Real low = std::fmax(std::floor(turning(rope.beta_fast)), 0);
  Real high = std::fmin(std::ceil(turning(rope.beta_slow)), Real(Dr - 1));
  if (low == high) high += Real(0.001);
  const Real ramp = std::fmin(1, std::fmax(0, (Real(r) - low) / (high - low)));
  return f / Real(rope.factor) * ramp + f * (1 - ramp);
}

/// Turns one head [width] at a position, magnitudes beside it.
inline void turn(const Rope& rope, Index width, Index position, Real* y, Real* m) {
  if (rope.kind == RopeKind::none) return;
  const Index Dr = rope.dim > 0 ? rope.dim : width;
  const Real A = rope.kind == RopeKind::yarn
                     ? mscale(rope.factor, rope.mscale) / mscale(rope.factor, rope.mscale_all_dim)
                     : 1;
  const std::vector<Real> x(y, y + Dr), mx(m, m + Dr);
  for (Index r = 0; r < Dr / 2; ++r) {
    const Real angle = Real(position) * frequency(rope, r, Dr);
    const Real cos = A * std::cos(angle), sin = A * std::sin(angle);
    const Pair p = pair_of(rope.pairing, r, Dr / 2);
    const auto a = std::size_t(p.a), b = std::size_t(p.b);
    y[p.to_a] = x[a] * cos - x[b] * sin;
    y[p.to_b] = x[b] * cos + x[a] * sin;
    m[p.to_a] = std::fabs(mx[a] * cos) + std::fabs(mx[b] * sin);
    m[p.to_b] = std::fabs(mx[b] * cos) + std::fabs(mx[a] * sin);
  }
}

/// Magnitudes of a head before it turns that has no norm: of what will turn.
inline void start_magnitudes(const Rope& rope, Index width, const Real* y, Real* m) {
  const Index Dr = rope.kind == RopeKind::none ? 0 : rope.dim > 0 ? rope.dim : width;
  for (Index d = 0; d < width; ++d) m[d] = d < Dr ? std::fabs(y[d]) : 0;
}

// ---- norms ----

inline void norm(Norm kind, Real eps, Index width, const Real* w, const Real* b, Real* y, Real* m) {
  Real mean = 0, mean_abs = 0, squares = 0;
  for (Index d = 0; d < width; ++d) mean += y[d] / Real(width);
  for (Index d = 0; d < width; ++d) mean_abs += std::fabs(y[d]) / Real(width);
  const Real from = kind == Norm::layer ? mean : 0;
  for (Index d = 0; d < width; ++d) squares += (y[d] - from) * (y[d] - from) / Real(width);
  const Real root = std::sqrt(squares + eps);
  for (Index d = 0; d < width; ++d) {
    const Real x = y[d];
    if (kind == Norm::rms) y[d] = x / root * w[d];
    if (kind == Norm::l2) y[d] = x / root;
    if (kind == Norm::rms_zero_centered) y[d] = x / root * (1 + w[d]);
    if (kind == Norm::layer) y[d] = (x - mean) / root * w[d] + b[d];
    m[d] = std::fabs(y[d]);
    if (kind == Norm::rms_zero_centered) m[d] = std::fabs(x) / root * (1 + std::fabs(w[d]));
    if (kind == Norm::layer)
      m[d] = std::fabs(w[d]) / root * (std::fabs(x) + mean_abs) + std::fabs(b[d]);
  }
}

// ---- projections ----

/// x [tokens, K] w [N, K]^T + b [N], of this shape.
inline void project(Results& to, const std::string& name, std::vector<Index> shape, Array& x,
                    Array& w, const Array* b) {
  to.add(name, std::move(shape));
  const std::size_t N = std::size_t(w.shape[0]), K = std::size_t(w.shape[1]);
  for (std::size_t m = 0; m < x.x.size() / K; ++m)
    for (std::size_t n = 0; n < N; ++n) {
      Real sum = b ? b->x[n] : 0, magnitude = std::fabs(sum);
      for (std::size_t k = 0; k < K; ++k) {
        sum += x.x[m * K + k] * w.x[n * K + k];
        magnitude += std::fabs(x.x[m * K + k] * w.x[n * K + k]);
      }
      to.y[name].x[m * N + n] = sum;
      to.magnitude[name].x[m * N + n] = magnitude;
    }
}

// ---- attention ----

/// Keys and values as functions of (b, j, h, d).
using At = std::function<Real(Index, Index, Index, Index)>;

/// o (named `name`, [B,Sq,H,width]) and lse; `abs_mag` among the magnitudes.
inline void attend(const Problem& p, Results& to, const std::string& name, Index width, Array& q,
                   const At& key, const At& value, Real scale) {
  to.add(name, {p.B, p.Sq, p.H, width});
  to.add("abs_mag", {p.B, p.Sq, p.H, width});
  to.add("lse", {p.B, p.H, p.Sq});
  for (Index b = 0; b < p.B; ++b)
    for (Index h = 0; h < p.H; ++h)
      for (Index i = 0; i < p.Sq; ++i) {
        const Index length = p.lens.empty() ? p.Sk : p.lens[std::size_t(b)];
        const Index seen = p.mask == Mask::causal ? length - p.Sq + i + 1 : length;
        std::vector<Real> s;
        Real m = -HUGE_VALL, l = 0;
        for (Index j = 0; j < seen; ++j) {
          Real dot = 0;
          for (Index d = 0; d < q.shape[3]; ++d) dot += q(b, i, h, d) * key(b, j, h, d);
          s.push_back(scale * dot);
          m = std::fmax(m, scale * dot);
        }
        for (const Real score : s) l += std::exp(score - m);
        to.y["lse"](b, h, i) = m + std::log(l);
        for (Index j = 0; j < seen; ++j)
          for (Index d = 0; d < width; ++d) {
            const Real term = std::exp(s[std::size_t(j)] - m) / l * value(b, j, h, d);
            to.y[name](b, i, h, d) += term;
            to.y["abs_mag"](b, i, h, d) += std::fabs(term);
          }
      }
}

/// The rows of a cache or pool as [B, Sk, width]; rows that hold no token are NaN.
inline Array dense_rows(const Problem& p, const Tensor& cache, const Tensor* table, Index missing) {
  Index width = 1;
  for (std::size_t axis = 2; axis < cache.shape().size(); ++axis) width *= cache.shape()[axis];
  Array rows({p.B, p.Sk, width});
  for (Real& x : rows.x) x = NAN;
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < p.length(b) - missing; ++j) {
      Index row = b * p.Sk + j;
      if (table) row = Index(table->value(b * ((p.Sk + p.page - 1) / p.page) + j / p.page));
      if (table) row = row * p.page + j % p.page;
      for (Index d = 0; d < width; ++d) rows(b, j, d) = cache.value(row * width + d);
    }
  return rows;
}

}  // namespace attest::naive
