#include "tests/cuda/naive_stages.h"

#include <cmath>
#include <functional>

#include "cases/error.h"

namespace attest::test {
namespace {

constexpr double kU = 0x1p-24;  // of fp32

using At = std::function<double(Index row, Index n)>;

/// y[row,n] against sum_k x[row,k] w[n,k] + bias[n]: products of 16-bit numbers are exact in fp32,
/// every addition rounds.
void judge_products(WorstRatio& worst, Dtype dtype, Index rows, Index N, Index K, const At& x,
                    const At& w, const At& bias, const At& y) {
  for (Index row = 0; row < rows; ++row)
    for (Index n = 0; n < N; ++n) {
      double sum = bias(row, n), magnitude = std::abs(sum);
      for (Index k = 0; k < K; ++k) {
        const double term = x(row, k) * w(n, k);
        sum += term;
        magnitude += std::abs(term);
      }
      const double error = static_cast<double>(K + 1) * kU * magnitude;
      worst.add(y(row, n), sum, 1.01 * error + 1.01 * rounding(dtype, std::abs(sum) + error));
    }
}

double no_bias(Index, Index) { return 0; }

/// Rows of a matrix with `width` columns, read once.
At rows_of(const Tensor& tensor, Index width, Index first = 0) {
  return [all = values(tensor), width, first](Index row, Index n) {
    return all[static_cast<std::size_t>(first + row * width + n)];
  };
}

/// y = x w^T + b of every token.
double linear(const LayerRun& run, const char* x, const char* w, const char* b, const char* y) {
  const Index N = run.at(w).shape()[0], K = run.at(w).shape()[1];
  WorstRatio worst;
  const At bias = run.has(b) ? At([&](Index, Index n) { return run.value(b, n); }) : At(no_bias);
  judge_products(worst, run.p.dtype, run.p.B * run.p.Sq, N, K, rows_of(run.at(x), K),
                 rows_of(run.at(w), K), bias, rows_of(run.at(y), N));
  return worst.worst();
}

/// Infinity for each value of [B, Sk, width] behind the length of its batch entry.
void judge_nobodys(WorstRatio& worst, const LayerRun& run, const char* name) {
  const Index width = run.at(name).size() / (run.p.B * run.p.Sk);
  for (Index b = 0; b < run.p.B; ++b)
    for (Index n = (b * run.p.Sk + run.p.length(b)) * width; n < (b + 1) * run.p.Sk * width; ++n)
      if (!std::isnan(run.value(name, n))) worst.add(1, 0, 0);
}

double kv_up(const LayerRun& run) {
  const Problem& p = run.p;
  const Index N = p.H * (p.Dn + p.Dv), L = p.layer.L;
  const At latents = rows_of(run.at("latent_cache"), L + p.Dr);
  WorstRatio worst;
  for (Index b = 0; b < p.B; ++b)
    judge_products(
        worst, p.dtype, p.length(b), N, L,
        [&](Index j, Index k) { return latents(run.slot(b, j), k); }, rows_of(run.at("w_ukv"), L),
        no_bias, rows_of(run.at("kv"), N, b * p.Sk * N));
  judge_nobodys(worst, run, "kv");
  return worst.worst();
}

double assemble(const LayerRun& run) {
  const Problem& p = run.p;
  const Index C = p.layer.L + p.Dr, kv = p.Dn + p.Dv;
  WorstRatio worst;
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < p.length(b); ++j)
      for (Index h = 0; h < p.H; ++h) {
        const Index row = (b * p.Sk + j) * p.H + h;
        for (Index d = 0; d < p.D; ++d)
          worst.add(run.value("k", row * p.D + d),
                    d < p.Dn ? run.value("kv", row * kv + d)
                             : run.value("latent_cache", run.slot(b, j) * C + p.layer.L + d - p.Dn),
                    0);
        for (Index d = 0; d < p.Dv; ++d)
          worst.add(run.value("v", row * p.Dv + d), run.value("kv", row * kv + p.Dn + d), 0);
      }
  judge_nobodys(worst, run, "k");
  judge_nobodys(worst, run, "v");
  return worst.worst();
}

double q_absorb(const LayerRun& run) {
  const Problem& p = run.p;
  const Index L = p.layer.L, C = L + p.Dr, tokens = p.B * p.Sq;
  const At q = rows_of(run.at("q_rot"), p.H * p.D), y = rows_of(run.at("q_latent"), p.H * C);
  const At w = rows_of(run.at("w_ukv"), L);
  WorstRatio worst;
  for (Index h = 0; h < p.H; ++h) {
    judge_products(
        worst, p.dtype, tokens, L, p.Dn, [&](Index t, Index d) { return q(t, h * p.D + d); },
        [&](Index c, Index d) { return w(h * (p.Dn + p.Dv) + d, c); }, no_bias,
        [&](Index t, Index c) { return y(t, h * C + c); });
    for (Index t = 0; t < tokens; ++t)
      for (Index d = 0; d < p.Dr; ++d) worst.add(y(t, h * C + L + d), q(t, h * p.D + p.Dn + d), 0);
  }
  return worst.worst();
}

double v_up(const LayerRun& run) {
  const Problem& p = run.p;
  const Index L = p.layer.L;
  const At u = rows_of(run.at("u"), p.H * L), o = rows_of(run.at("o"), p.H * p.Dv);
  const At w = rows_of(run.at("w_ukv"), L);
  WorstRatio worst;
  for (Index h = 0; h < p.H; ++h)
    judge_products(
        worst, p.dtype, p.B * p.Sq, p.Dv, L, [&](Index t, Index c) { return u(t, h * L + c); },
        [&](Index d, Index c) { return w(h * (p.Dn + p.Dv) + p.Dn + d, c); }, no_bias,
        [&](Index t, Index d) { return o(t, h * p.Dv + d); });
  return worst.worst();
}

double q_norm(const LayerRun& run) {
  const Problem& p = run.p;
  const Index Lq = p.layer.Lq;
  const At x = rows_of(run.at("c_q"), Lq), y = rows_of(run.at("c_q_norm"), Lq);
  WorstRatio worst;
  for (Index t = 0; t < p.B * p.Sq; ++t) {
    double squares = 0;
    for (Index d = 0; d < Lq; ++d) squares += x(t, d) * x(t, d);
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(Lq) + p.layer.eps);
    for (Index d = 0; d < Lq; ++d) {
      const double want = x(t, d) * inverse * run.value("w_q_norm", d);
      const double error = (static_cast<double>(Lq) / 32 + 16) * kU * std::abs(want);
      worst.add(y(t, d), want, error + rounding(p.dtype, std::abs(want) + error));
    }
  }
  return worst.worst();
}

double gate(const LayerRun& run) {
  const Problem& p = run.p;
  const Index R = p.H / p.G, group = (2 * R + 2) * p.D;
  WorstRatio worst;
  for (Index n = 0; n < p.B * p.Sq * p.H * p.D; ++n) {
    const Index d = n % p.D, h = n / p.D % p.H, token = n / p.D / p.H;
    const double x = run.value("qkv", token * p.G * group + h / R * group + (R + h % R) * p.D + d);
    const double want = run.value("o", n) / (1 + std::exp(-x));
    worst.add(run.value("o_gated", n), want,
              0x1p-20 * std::abs(want) + 1.001 * rounding(p.dtype, want));
  }
  return worst.worst();
}

/// What attention reads of batch entry b: elements of key j, of query or key/value head n.
struct Heads {
  const char *q, *k, *v, *o;
  Index D, Dv, G;
  double scale;
};

Heads heads_of(const Problem& p) {
  const double width = static_cast<double>(p.D);
  if (p.variant != Variant::mla)
    return {"q_rot", "k_cache", "v_cache", "o", p.D, p.Dv, p.G, 1 / std::sqrt(width)};
  double longer = 1;
  if (p.rope.kind == RopeKind::yarn)
    longer += 0.1 * p.rope.mscale_all_dim * std::log(p.rope.factor);
  const double scale = longer * longer / std::sqrt(width);
  const Index L = p.layer.L;
  if (p.form == Form::absorbed)
    return {"q_latent", "latent_cache", "latent_cache", "u", L + p.Dr, L, 1, scale};
  return {"q_rot", "k", "v", "o", p.D, p.Dv, p.H, scale};
}

void judge_query(WorstRatio& worst, const LayerRun& run, const Heads& heads, const At& q,
                 const At& k, const At& v, Index b, Index i, Index h) {
  const Problem& p = run.p;
  const bool dense = p.variant == Variant::mla && p.form == Form::expanded;
  const Index g = h / (p.H / heads.G), query = (b * p.Sq + i) * p.H + h;
  const auto row = [&](Index j) { return (dense ? b * p.Sk + j : run.slot(b, j)) * heads.G + g; };
  const Index seen = p.mask == Mask::none ? p.length(b) : p.length(b) - p.Sq + i + 1;
  std::vector<double> s;
  double m = -1e300, l = 0;
  for (Index j = 0; j < seen; ++j) {
    double dot = 0;
    for (Index d = 0; d < heads.D; ++d) dot += q(query, d) * k(row(j), d);
    s.push_back(dot * heads.scale);
    m = std::max(m, s.back());
  }
  for (double& x : s) l += x = std::exp(x - m);
  for (Index d = 0; d < heads.Dv; ++d) {
    double o = 0, magnitude = 0;
    for (Index j = 0; j < seen; ++j) {
      const double term = s[static_cast<std::size_t>(j)] / l * v(row(j), d);
      o += term;
      magnitude += std::abs(term);
    }
    // Roundings of p and of o, and a twentieth for all of fp32.
    worst.add(run.value(heads.o, query * heads.Dv + d), o,
              1.05 * (unit_roundoff(p.dtype) * magnitude + rounding(p.dtype, o)));
  }
  const double lse = m + std::log(l);
  worst.add(run.value("lse", (b * p.H + h) * p.Sq + i), lse, 2e-5 * (1 + std::abs(lse)));
}

double attention(const LayerRun& run) {
  const Problem& p = run.p;
  const Heads heads = heads_of(p);
  const bool shared = p.form == Form::absorbed;  // a key's value is its first columns
  const At q = rows_of(run.at(heads.q), heads.D), k = rows_of(run.at(heads.k), heads.D);
  const At v = rows_of(run.at(heads.v), shared ? heads.D : heads.Dv);
  WorstRatio worst;
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) judge_query(worst, run, heads, q, k, v, b, i, h);
  return worst.worst();
}

}  // namespace

double worst_of_stage(const LayerRun& run, std::string_view stage) {
  if (stage == "qkv") return linear(run, "x", "w_qkv", "b_qkv", "qkv");
  if (stage == "q_down") return linear(run, "x", "w_dq", "", "c_q");
  if (stage == "q_norm") return q_norm(run);
  if (stage == "q_up" && run.has("w_q")) return linear(run, "x", "w_q", "", "q");
  if (stage == "q_up") return linear(run, "c_q_norm", "w_uq", "", "q");
  if (stage == "kv_down") return linear(run, "x", "w_dkv", "", "kv_down");
  if (stage == "rope_append") return worst_append(run);
  if (stage == "kv_up") return kv_up(run);
  if (stage == "assemble") return assemble(run);
  if (stage == "q_absorb") return q_absorb(run);
  if (stage == "attention") return attention(run);
  if (stage == "v_up") return v_up(run);
  if (stage == "gate") return gate(run);
  ATTEST_CHECK(stage == "out", "naive stages: a stage must be known, got ", stage);
  return linear(run, run.has("o_gated") ? "o_gated" : "o", "w_o", "b_o", "y");
}

}  // namespace attest::test
