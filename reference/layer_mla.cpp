// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1) around its attention.
//
//   q_norm        c_q_norm = rms(c_q) w_q_norm
//   rope_append   q_rot[b,i,h,:] = [q_nope | rotate(q_pe)]        at position length(b) - Sq + i
//                 latent_cache   = [rms(c) w_kv_norm | rotate(k_pe)]    of kv_down = [c | k_pe]
//
// Expanded: keys and values of every head are made of the latents of all tokens.
//
//   kv_up         kv[b,j,h,:] = w_ukv[h,:,:] c[b,j,:]             [k_nope | v], j < length(b)
//   assemble      k[b,j,h,:]  = [k_nope | k_pe]                   k_pe is that of all heads
//                 v[b,j,h,:]  = v
//
// Absorbed: the projections to k_nope and v move to the other side of attention.
//
//   q_absorb      q_latent[b,i,h,:] = [w_uk[h,:,:]^T q_nope | q_pe]
//   v_up          o[b,i,h,:]        = w_uv[h,:,:] u[b,i,h,:]
//
// w_ukv [H,Dn+Dv,L]: w_uk [H,Dn,L] and w_uv [H,Dv,L] are the first and last rows of each head.
// Shapes of the others: cases/stages.h.
#include <algorithm>

#include "reference/layer_stages.h"
#include "reference/linear.h"
#include "reference/norm.h"

namespace attest::reference {
namespace {

/// Rows first .. first + count - 1 of the first head of w_ukv: [count, L].
TensorView rows_of_head(const StageInputs& s, Index first, Index count) {
  const Index position[] = {first, 0};
  TensorView w = s.inputs.at("w_ukv").view();
  w.data = w.at(position);
  w.shape[0] = count;
  return w;
}

TensorView transposed(TensorView w) {
  std::swap(w.shape[0], w.shape[1]);
  std::swap(w.strides[0], w.strides[1]);
  return w;
}

NormTask latent_norm(const Problem& p, const std::vector<double>& w, Index width) {
  return {Norm::rms, p.layer.eps, w.data(), nullptr, p.B * p.Sq, width};
}

}  // namespace

Truth q_norm(const StageInputs& s) {
  const Problem& p = s.p;
  const std::vector<double> c_q = values(s.left.at("c_q")), w = values(s.inputs.at("w_q_norm"));
  Truth truth;
  const Output normed = add_output(truth, s.emit, "c_q_norm", "BSE", {p.B, p.Sq, p.layer.Lq});
  std::ranges::copy(c_q, normed.y);
  normalize(latent_norm(p, w, p.layer.Lq), normed.y, normed.magnitude);
  return truth;
}

Truth rope_append_of_latents(const StageInputs& s) {
  const Problem& p = s.p;
  const Index L = p.layer.L, width = L + p.Dr, tokens = p.B * p.Sq;
  const std::vector<double> q = values(s.left.at("q")), kv_down = values(s.left.at("kv_down"));
  const std::vector<double> w = values(s.inputs.at("w_kv_norm"));
  Truth truth;
  const Output q_rot = add_output(truth, s.emit, "q_rot", "BSHD", {p.B, p.Sq, p.H, p.D});
  const Output latent = add_output(truth, s.emit, "latent_cache", "BSC", {p.B, p.Sq, width});

  std::ranges::copy(q, q_rot.y);
  turn(p, p.Dr, p.H, p.D, false, q_rot.from(p.Dn));

  std::ranges::copy(kv_down, latent.y);
  std::vector<double> c(static_cast<std::size_t>(tokens * L)), magnitude(c);  // [tokens, L]
  for (Index n = 0; n < tokens; ++n) std::copy_n(latent.y + n * width, L, c.data() + n * L);
  normalize(latent_norm(p, w, L), c.data(), magnitude.data());
  for (Index n = 0; n < tokens; ++n) {
    std::copy_n(c.data() + n * L, L, latent.y + n * width);
    if (latent.magnitude) std::copy_n(magnitude.data() + n * L, L, latent.magnitude + n * width);
  }
  turn(p, p.Dr, 1, width, false, latent.from(L));
  return truth;
}

Truth kv_up(const StageInputs& s) {
  const Problem& p = s.p;
  const Index width = p.layer.L + p.Dr, N = p.H * (p.Dn + p.Dv);
  const std::vector<double> latents = values(cached_rows(s, s.left, "latent_cache", 0));
  const TensorView w = s.inputs.at("w_ukv").view();
  Truth truth;
  const Output kv = add_output(truth, s.emit, "kv", "BSHD", {p.B, p.Sk, p.H, p.Dn + p.Dv});
  for (Index b = 0; b < p.B; ++b) {
    const Output rows = kv.from(b * p.Sk * N);  // [Sk, N]
    linear("w_ukv", {.rows = p.length(b),
                     .N = N,
                     .K = p.layer.L,
                     .x = latents.data() + b * p.Sk * width,
                     .x_stride = width,
                     .w = &w,
                     .b = nullptr,
                     .y = rows.y,
                     .magnitude = rows.magnitude,
                     .y_stride = N});
  }
  return truth;
}

Truth assemble(const StageInputs& s) {
  const Problem& p = s.p;
  const Index L = p.layer.L;
  const std::vector<double> latents = values(cached_rows(s, s.left, "latent_cache", 0));
  const std::vector<double> kv = values(rows_in_use(p, s.left.at("kv"), nullptr, 0));
  Truth truth;
  const Output k = add_output(truth, s.emit, "k", "BSHD", {p.B, p.Sk, p.H, p.D});
  const Output v = add_output(truth, s.emit, "v", "BSHD", {p.B, p.Sk, p.H, p.Dv});
  for (Index row = 0; row < p.B * p.Sk; ++row)
    for (Index h = 0; h < p.H; ++h) {
      const Index n = row * p.H + h;
      const double* kv_row = kv.data() + n * (p.Dn + p.Dv);  // [k_nope | v]
      std::copy_n(kv_row, p.Dn, k.y + n * p.D);
      std::copy_n(latents.data() + row * (L + p.Dr) + L, p.Dr, k.y + n * p.D + p.Dn);
      std::copy_n(kv_row + p.Dn, p.Dv, v.y + n * p.Dv);
    }
  return truth;
}

Truth q_absorb(const StageInputs& s) {
  const Problem& p = s.p;
  const Index L = p.layer.L, width = L + p.Dr, tokens = p.B * p.Sq;
  const std::vector<double> q = values(s.left.at("q_rot"));
  Truth truth;
  const Output q_latent = add_output(truth, s.emit, "q_latent", "BSHD", {p.B, p.Sq, p.H, width});
  const TensorView w_uk = transposed(rows_of_head(s, 0, p.Dn));  // [L, Dn] of each head
  linear("w_ukv", {.rows = tokens,
                   .N = L,
                   .K = p.Dn,
                   .x = q.data(),
                   .x_stride = p.H * p.D,
                   .w = &w_uk,
                   .b = nullptr,
                   .y = q_latent.y,
                   .magnitude = q_latent.magnitude,
                   .y_stride = p.H * width,
                   .heads = p.H,
                   .x_head = p.D,
                   .w_head = (p.Dn + p.Dv) * L,
                   .y_head = width});
  for (Index n = 0; n < tokens * p.H; ++n)
    std::copy_n(q.data() + n * p.D + p.Dn, p.Dr, q_latent.y + n * width + L);
  return truth;
}

Truth v_up(const StageInputs& s) {
  const Problem& p = s.p;
  const Index L = p.layer.L;
  const std::vector<double> u = values(s.left.at("u"));
  Truth truth;
  const Output o = add_output(truth, s.emit, "o", "BSHD", {p.B, p.Sq, p.H, p.Dv});
  const TensorView w_uv = rows_of_head(s, p.Dn, p.Dv);  // [Dv, L] of each head
  linear("w_ukv", {.rows = p.B * p.Sq,
                   .N = p.Dv,
                   .K = L,
                   .x = u.data(),
                   .x_stride = p.H * L,
                   .w = &w_uv,
                   .b = nullptr,
                   .y = o.y,
                   .magnitude = o.magnitude,
                   .y_stride = p.H * p.Dv,
                   .heads = p.H,
                   .x_head = L,
                   .w_head = (p.Dn + p.Dv) * L,
                   .y_head = p.Dv});
  return truth;
}

}  // namespace attest::reference
