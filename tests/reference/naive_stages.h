#pragma once

#include "tests/reference/naive_layer.h"

// The stages of a layer, and a layer as all of them one after another.
namespace attest::naive {

/// Row of w_qkv: n-th of the blocks of group g, which has R q, perhaps R gates, k and v.
inline Index fused_row(const Problem& p, Index g, Index block, Index d) {
  const Index r = p.H / p.G;
  return p.layer.gate ? g * (2 * r + 2) * p.D + block * p.D + d
                      : g * (r + 2) * p.D + block * p.D + d;
}

inline Results rope_append_of_heads(const Problem& p, Arrays& in, const Mistakes& wrong) {
  const Index r = p.H / p.G, k_block = p.layer.gate ? 2 * r : r, v_block = k_block + 1;
  Results to;
  to.add("q_rot", {p.B, p.Sq, p.H, p.D});
  to.add("k_cache", {p.B, p.Sq, p.G, p.D});
  to.add("v_cache", {p.B, p.Sq, p.G, p.D});
  const auto head = [&](const std::string& name, char of, Index b, Index i, Index h) {
    Real *y = &to.y[name](b, i, h, 0), *m = &to.magnitude[name](b, i, h, 0);
    Rope rope = p.rope;
    if (wrong.pairing_of_q && of == 'q')
      rope.pairing =
          rope.pairing == RopePairing::half ? RopePairing::interleaved : RopePairing::half;
    const auto weights = [&](char kind) {
      return in[std::string{kind} + '_' + of + "_norm"].x.data();
    };
    start_magnitudes(rope, p.D, y, m);
    const bool skip = wrong.cache_before_norm && of == 'k';
    if (p.layer.norm != Norm::none && !skip)
      norm(p.layer.norm, p.layer.eps, p.D, weights('w'), weights('b'), y, m);
    const Index position = p.length(b) - p.Sq + i;
    turn(rope, p.D, position, y, m);
    if (wrong.turn_key_twice && of == 'k') turn(rope, p.D, position, y, m);
  };
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i) {
      for (Index h = 0; h < p.H; ++h) {
        for (Index d = 0; d < p.D; ++d)
          to.y["q_rot"](b, i, h, d) = in["qkv"](b, i, fused_row(p, h / r, h % r, d));
        head("q_rot", 'q', b, i, h);
      }
      for (Index g = 0; g < p.G; ++g) {
        for (Index d = 0; d < p.D; ++d) {
          to.y["k_cache"](b, i, g, d) = in["qkv"](b, i, fused_row(p, g, k_block, d));
          to.y["v_cache"](b, i, g, d) = in["qkv"](b, i, fused_row(p, g, v_block, d));
        }
        head("k_cache", 'k', b, i, g);
      }
    }
  return to;
}

inline Results gate(const Problem& p, Arrays& in) {
  const Index r = p.H / p.G;
  Results to;
  to.add("o_gated", {p.B, p.Sq, p.H, p.D});
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h)
        for (Index d = 0; d < p.D; ++d) {
          const Real open = in["qkv"](b, i, fused_row(p, h / r, r + h % r, d));
          const Real y = in["o"](b, i, h, d) * (1 / (1 + std::exp(-open)));
          to.y["o_gated"](b, i, h, d) = y;
          to.magnitude["o_gated"](b, i, h, d) = std::fabs(y) * (1 + std::fabs(open));
        }
  return to;
}

inline Results q_norm(const Problem& p, Arrays& in) {
  Results to;
  to.add("c_q_norm", {p.B, p.Sq, p.layer.Lq});
  to.y["c_q_norm"] = in["c_q"];
  for (Index n = 0; n < p.B * p.Sq; ++n)
    norm(Norm::rms, p.layer.eps, p.layer.Lq, in["w_q_norm"].x.data(), nullptr,
         to.y["c_q_norm"].x.data() + n * p.layer.Lq,
         to.magnitude["c_q_norm"].x.data() + n * p.layer.Lq);
  return to;
}

inline Results rope_append_of_latents(const Problem& p, Arrays& in, const Mistakes& wrong) {
  const Index L = p.layer.L;
  Results to;
  to.add("q_rot", {p.B, p.Sq, p.H, p.D});
  to.add("latent_cache", {p.B, p.Sq, L + p.Dr});
  to.y["q_rot"] = in["q"];
  to.y["latent_cache"] = in["kv_down"];
  Rope of_q = p.rope;
  if (wrong.pairing_of_q)
    of_q.pairing = of_q.pairing == RopePairing::half ? RopePairing::interleaved : RopePairing::half;
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i) {
      const Index position = p.length(b) - p.Sq + i;
      for (Index h = 0; h < p.H; ++h) {
        Real *y = &to.y["q_rot"](b, i, h, p.Dn), *m = &to.magnitude["q_rot"](b, i, h, p.Dn);
        start_magnitudes(of_q, p.Dr, y, m);
        turn(of_q, p.Dr, position, y, m);
      }
      Real *y = &to.y["latent_cache"](b, i, 0), *m = &to.magnitude["latent_cache"](b, i, 0);
      if (!wrong.cache_before_norm)
        norm(Norm::rms, p.layer.eps, L, in["w_kv_norm"].x.data(), nullptr, y, m);
      start_magnitudes(p.rope, p.Dr, y + L, m + L);
      turn(p.rope, p.Dr, position, y + L, m + L);
      if (wrong.turn_key_twice) turn(p.rope, p.Dr, position, y + L, m + L);
    }
  return to;
}

/// kv [B,Sk,H,Dn+Dv], k and v; zero where there is no token.
inline Results expand(const Problem& p, Arrays& in, bool assembled) {
  const Index L = p.layer.L, width = p.Dn + p.Dv;
  Results to;
  if (!assembled) to.add("kv", {p.B, p.Sk, p.H, width});
  if (assembled) to.add("k", {p.B, p.Sk, p.H, p.D});
  if (assembled) to.add("v", {p.B, p.Sk, p.H, p.Dv});
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < p.length(b); ++j)
      for (Index h = 0; h < p.H; ++h) {
        for (Index n = 0; n < width && !assembled; ++n)
          for (Index c = 0; c < L; ++c) {
            const Real term = in["latent_cache"](b, j, c) * in["w_ukv"](h * width + n, c);
            to.y["kv"](b, j, h, n) += term;
            to.magnitude["kv"](b, j, h, n) += std::fabs(term);
          }
        for (Index d = 0; d < p.D && assembled; ++d)
          to.y["k"](b, j, h, d) =
              d < p.Dn ? in["kv"](b, j, h, d) : in["latent_cache"](b, j, L + d - p.Dn);
        for (Index d = 0; d < p.Dv && assembled; ++d)
          to.y["v"](b, j, h, d) = in["kv"](b, j, h, p.Dn + d);
      }
  return to;
}

inline Results q_absorb(const Problem& p, Arrays& in) {
  const Index L = p.layer.L;
  Results to;
  to.add("q_latent", {p.B, p.Sq, p.H, L + p.Dr});
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        for (Index c = 0; c < L; ++c)
          for (Index n = 0; n < p.Dn; ++n) {
            const Real term = in["q_rot"](b, i, h, n) * in["w_ukv"](h * (p.Dn + p.Dv) + n, c);
            to.y["q_latent"](b, i, h, c) += term;
            to.magnitude["q_latent"](b, i, h, c) += std::fabs(term);
          }
        for (Index r = 0; r < p.Dr; ++r)
          to.y["q_latent"](b, i, h, L + r) = in["q_rot"](b, i, h, p.Dn + r);
      }
  return to;
}

inline Results v_up(const Problem& p, Arrays& in) {
  Results to;
  to.add("o", {p.B, p.Sq, p.H, p.Dv});
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h)
        for (Index d = 0; d < p.Dv; ++d)
          for (Index c = 0; c < p.layer.L; ++c) {
            const Real w = in["w_ukv"](h * (p.Dn + p.Dv) + p.Dn + d, c);
            to.y["o"](b, i, h, d) += w * in["u"](b, i, h, c);
            to.magnitude["o"](b, i, h, d) += std::fabs(w * in["u"](b, i, h, c));
          }
  return to;
}

inline Results attention(const Problem& p, Arrays& in, const Mistakes& wrong) {
  Results to;
  if (p.variant != Variant::mla) {
    const At key = [&](Index b, Index j, Index h, Index d) {
      return in["k_cache"](b, j, h / (p.H / p.G) * p.D + d);
    };
    const At value = [&](Index b, Index j, Index h, Index d) {
      return in["v_cache"](b, j, h / (p.H / p.G) * p.D + d);
    };
    attend(p, to, "o", p.D, in["q_rot"], key, value, wrong.scale / std::sqrt(Real(p.D)));
    return to;
  }
  const Real m =
      p.rope.kind == RopeKind::yarn ? mscale(p.rope.factor, p.rope.mscale_all_dim) : Real(1);
  const Real scale = wrong.scale * m * m / std::sqrt(Real(p.Dn + p.Dr));
  const At latent = [&](Index b, Index j, Index, Index c) { return in["latent_cache"](b, j, c); };
  if (p.form == Form::absorbed) {
    attend(p, to, "u", p.layer.L, in["q_latent"], latent, latent, scale);
    return to;
  }
  const At key = [&](Index b, Index j, Index h, Index d) { return in["k"](b, j, h, d); };
  const At value = [&](Index b, Index j, Index h, Index d) { return in["v"](b, j, h, d); };
  attend(p, to, "o", p.Dv, in["q_rot"], key, value, scale);
  return to;
}

/// One stage. `in` holds inputs and what earlier stages left, caches as dense_rows() gives them.
inline Results stage(const Problem& p, const Stage& which, Arrays& in, const Mistakes& wrong = {}) {
  const std::string name(which.name);
  Results to;
  const auto projection = [&](const char* x, const char* w, const char* b) {
    const TensorSpec& spec = which.outputs.front();
    project(to, spec.name, spec.shape, in[x], in[w], in.contains(b) ? &in[b] : nullptr);
    return to;
  };
  const bool mla = p.variant == Variant::mla;
  if (name == "qkv") return projection("x", "w_qkv", "b_qkv");
  if (name == "q_down") return projection("x", "w_dq", "");
  if (name == "q_norm") return q_norm(p, in);
  if (name == "q_up" && p.layer.Lq > 0) return projection("c_q_norm", "w_uq", "");
  if (name == "q_up") return projection("x", "w_q", "");
  if (name == "kv_down") return projection("x", "w_dkv", "");
  if (name == "rope_append")
    return mla ? rope_append_of_latents(p, in, wrong) : rope_append_of_heads(p, in, wrong);
  if (name == "kv_up" || name == "assemble") return expand(p, in, name == "assemble");
  if (name == "q_absorb") return q_absorb(p, in);
  if (name == "attention") return attention(p, in, wrong);
  if (name == "v_up") return v_up(p, in);
  if (name == "gate") return gate(p, in);
  return projection(p.layer.gate ? "o_gated" : "o", "w_o", "b_o");
}

inline bool is_cache(std::string_view name) { return name.ends_with("_cache"); }

/// Inputs of any stage: everything by name, caches densely without the `missing` last rows.
inline Arrays arrays(const Problem& p, const TensorSet& set, const Tensor* table, Index missing) {
  Arrays all;
  for (const Tensor& tensor : set)
    all[tensor.name()] =
        is_cache(tensor.name()) ? dense_rows(p, tensor, table, missing) : Array(tensor);
  return all;
}

/// Everything that the stages leave; a cache's new rows as `new k_cache` beside the cache.
/// `abs_mag` is that of attention.
inline Arrays layer(const Problem& p, const TensorSet& inputs, const Mistakes& wrong = {}) {
  Arrays in = arrays(p, inputs, inputs.find("block_table"), p.Sq);
  for (const Stage& which : stages(p))
    for (auto& [name, y] : stage(p, which, in, wrong).y) {
      if (!is_cache(name)) {
        in[name] = y;
        continue;
      }
      const Index width = Index(y.x.size()) / (p.B * p.Sq);
      for (Index b = 0; b < p.B; ++b)
        for (Index i = 0; i < p.Sq; ++i)
          for (Index d = 0; d < width; ++d)
            in[name](b, p.length(b) - p.Sq + i, d) = y.x[std::size_t((b * p.Sq + i) * width + d)];
      in["new " + name] = y;
    }
  return in;
}

}  // namespace attest::naive
