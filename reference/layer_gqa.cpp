// MHA, GQA and MQA between their projections, in the fused layout of Megatron-LM: a row of qkv
// holds for each group g of R = H/G query heads
//
//   q_{gR} .. q_{gR+R-1}   gate_{gR} .. gate_{gR+R-1} if there are gates   k_g   v_g     D each
//
// rope_append: q and k are normed head by head, with weights that all heads share, then turned at
// the position of their token; v is stored as it is. That is the order of Megatron-LM, Qwen3 and
// Gemma 3.
//
//   q_rot[b,i,h,:]   = rotate(norm(q[b,i,h,:]), length(b) - Sq + i)     k_cache the same of k
//   v_cache[b,i,g,:] = v[b,i,g,:]
//
// gate, after attention:
//
//   o_gated = o / (1 + exp(-gate))
//
// qkv [B,Sq,(H+2G)D], with gates (2H+2G)D  ->  q_rot [B,Sq,H,D]; k_cache v_cache [B,Sq,G,D], the
// new rows.   o [B,Sq,H,D]  ->  o_gated [B,Sq,H,D]
#include <algorithm>
#include <cmath>

#include "reference/layer_stages.h"
#include "reference/norm.h"

namespace attest::reference {
namespace {

/// Where a head's values begin in a row of qkv.
struct FusedLayout {
  Index R, D, blocks;  // blocks of D values a group has

  explicit FusedLayout(const Problem& p)
      : R(p.H / p.G), D(p.D), blocks(R * (p.layer.gate ? 2 : 1) + 2) {}

  Index q(Index h) const { return (h / R * blocks + h % R) * D; }
  Index gate(Index h) const { return (h / R * blocks + R + h % R) * D; }
  Index k(Index g) const { return (g * blocks + blocks - 2) * D; }
  Index v(Index g) const { return (g * blocks + blocks - 1) * D; }
  Index width(Index G) const { return G * blocks * D; }
};

using Begin = Index (FusedLayout::*)(Index) const;

/// Heads of one kind: qkv [tokens, width] -> [tokens, heads, D].
void split(const Problem& p, const std::vector<double>& qkv, Begin begin, Index heads, double* to) {
  const FusedLayout layout(p);
  for (Index token = 0; token < p.B * p.Sq; ++token)
    for (Index h = 0; h < heads; ++h) {
      const double* row = qkv.data() + token * layout.width(p.G);
      std::copy_n(row + (layout.*begin)(h), p.D, to + (token * heads + h) * p.D);
    }
}

/// Norms and turns x [B,Sq,heads,D]; `of` is q or k, as the weights are named.
void norm_and_turn(const StageInputs& s, char of, Index heads, Output x) {
  const Problem& p = s.p;
  const Norm norm = p.layer.norm;
  const auto weights = [&](const char* first) {
    return values(s.inputs.at(std::string(first) + of + "_norm"));
  };
  if (norm != Norm::none) {
    std::vector<double> w, b;
    if (norm != Norm::l2) w = weights("w_");
    if (norm == Norm::layer) b = weights("b_");
    normalize({norm, p.layer.eps, w.data(), b.data(), p.B * p.Sq * heads, p.D}, x.y, x.magnitude);
  }
  turn(p, p.D, heads, p.D, norm != Norm::none, x);
}

}  // namespace

Truth rope_append_of_heads(const StageInputs& s) {
  const Problem& p = s.p;
  const std::vector<double> qkv = values(s.left.at("qkv"));
  Truth truth;
  const Output q = add_output(truth, s.emit, "q_rot", "BSHD", {p.B, p.Sq, p.H, p.D});
  const Output k = add_output(truth, s.emit, "k_cache", "BSHD", {p.B, p.Sq, p.G, p.D});
  const Output v = add_output(truth, s.emit, "v_cache", "BSHD", {p.B, p.Sq, p.G, p.D});
  split(p, qkv, &FusedLayout::q, p.H, q.y);
  split(p, qkv, &FusedLayout::k, p.G, k.y);
  split(p, qkv, &FusedLayout::v, p.G, v.y);
  norm_and_turn(s, 'q', p.H, q);
  norm_and_turn(s, 'k', p.G, k);
  return truth;
}

Truth gate(const StageInputs& s) {
  const Problem& p = s.p;
  const std::vector<double> qkv = values(s.left.at("qkv")), o = values(s.left.at("o"));
  std::vector<double> gates(o.size());  // [B,Sq,H,D]
  split(p, qkv, &FusedLayout::gate, p.H, gates.data());
  Truth truth;
  const Output gated = add_output(truth, s.emit, "o_gated", "BSHD", {p.B, p.Sq, p.H, p.D});
  for (std::size_t n = 0; n < o.size(); ++n) {
    gated.y[n] = o[n] / (1 + std::exp(-gates[n]));
    if (gated.magnitude) gated.magnitude[n] = std::abs(gated.y[n]) * (1 + std::abs(gates[n]));
  }
  return truth;
}

}  // namespace attest::reference
