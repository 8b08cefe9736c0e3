#include "cuda/kernels/layer_params.h"

#include <cstdint>
#include <string>

#include "cases/error.h"

namespace attest {
namespace {

int to_int(Index n) { return static_cast<int>(n); }

/// Element n of a tensor of 16-bit elements.
void* element(void* tensor, Index n) { return static_cast<std::uint16_t*>(tensor) + n; }

bool is_mla(const Problem& p) { return p.variant == Variant::mla; }
Index latent_width(const Problem& p) { return p.layer.L + p.Dr; }

/// y = x w^T + bias of every token: x [B Sq, K], w [N, K], y [B Sq, N].
GemmStage linear(const Problem& p, Index K, Index N, const void* x, const void* w, const void* bias,
                 void* y) {
  GemmParams params{};
  params.a = x;
  params.w = w;
  params.bias = bias;
  params.c = y;
  params.a_stride = {0, K, 0};
  params.w_stride = {0, K, 0};
  params.c_stride = {0, N, 0};
  params.B = 1;
  params.M = to_int(p.B * p.Sq);
  params.heads = 1;
  params.N = to_int(N);
  params.K = to_int(K);
  return {WeightLayout::nk, params};
}

/// The latents of all tokens in the cache to kv [B, Sk, H (Dn+Dv)].
GemmStage kv_up(const Problem& p, const PointerOf& at) {
  const Index C = latent_width(p), N = p.H * (p.Dn + p.Dv);
  GemmStage stage = linear(p, p.layer.L, N, at("latent_cache"), at("w_ukv"), nullptr, at("kv"));
  GemmParams& params = stage.params;
  params.a_stride = {(p.page > 0 ? p.page : p.Sk) * C, C, 0};
  params.c_stride = {p.Sk * N, N, 0};
  params.block_table = static_cast<const int*>(at("block_table"));
  params.page = to_int(p.page);
  params.pages_per_row = to_int(p.page > 0 ? p.table_width() : 0);
  params.lens = static_cast<const int*>(at("seqlens_k"));
  params.B = to_int(p.B);
  params.M = to_int(p.Sk);
  return stage;
}

/// A matrix of its own for each head, rows first_row .. of its Dn+Dv of w_ukv: x [B Sq, H, x_width]
/// to the first N columns of y [B Sq, H, y_width].
GemmStage per_head(const Problem& p, WeightLayout layout, Index K, Index N, const PointerOf& at,
                   Index first_row, std::string_view x, Index x_width, std::string_view y,
                   Index y_width) {
  const Index L = p.layer.L;
  GemmStage stage = linear(p, K, N, at(x), element(at("w_ukv"), first_row * L), nullptr, at(y));
  stage.layout = layout;
  stage.params.a_stride = {0, p.H * x_width, x_width};
  stage.params.w_stride = {0, L, (p.Dn + p.Dv) * L};
  stage.params.c_stride = {0, p.H * y_width, y_width};
  stage.params.heads = to_int(p.H);
  return stage;
}

/// Of new tokens; the rows are to be set.
RopeAppendParams token_params(const Problem& p, const PointerOf& at) {
  RopeAppendParams params{};
  params.cos = static_cast<const float*>(at("cos"));
  params.sin = static_cast<const float*>(at("sin"));
  params.pairing = p.rope.pairing;
  params.eps = static_cast<float>(p.layer.eps);
  params.block_table = static_cast<const int*>(at("block_table"));
  params.page = to_int(p.page);
  params.pages_per_row = to_int(p.page > 0 ? p.table_width() : 0);
  params.lens = static_cast<const int*>(at("seqlens_k"));
  params.B = to_int(p.B);
  params.Sq = to_int(p.Sq);
  params.Sk = to_int(p.Sk);
  return params;
}

/// Rows that are copied, [B Sq, groups, heads, width]; x is that of group 0, head 0.
TokenRows copied_rows(void* x, void* y, Index x_token, Index groups, Index heads, Index width) {
  TokenRows rows{};
  rows.x = x;
  rows.x_token = x_token;
  rows.x_group = x_token / groups;
  rows.y = y;
  rows.groups = to_int(groups);
  rows.heads = to_int(heads);
  rows.width = to_int(width);
  return rows;
}

void set_norm(TokenRows& rows, Norm norm, Index width, const void* w, const void* b) {
  rows.norm = norm;
  rows.normed = to_int(width);
  rows.w = w;
  rows.b = b;
}

/// The rotary part is `width` values from `first` on; they may be more than turn.
void set_rotation(TokenRows& rows, const Rope& rope, Index first, Index width) {
  rows.first_turned = to_int(first);
  rows.pairs = rope.kind == RopeKind::none ? 0 : to_int(rotary_width(rope, width) / 2);
}

/// Blocks of D values in a group of qkv before k: R of q, with a gate R more.
Index blocks_before_k(const Problem& p) { return p.H / p.G * (p.layer.gate ? 2 : 1); }
Index qkv_width(const Problem& p) { return p.G * (blocks_before_k(p) + 2) * p.D; }

RopeAppendParams append_heads(const Problem& p, const PointerOf& at) {
  const Index token = qkv_width(p), before_k = blocks_before_k(p) * p.D;
  void* qkv = at("qkv");
  RopeAppendParams params = token_params(p, at);
  auto& [q, k, v] = params.rows;
  q = copied_rows(qkv, at("q_rot"), token, p.G, p.H / p.G, p.D);
  k = copied_rows(element(qkv, before_k), at("k_cache"), token, p.G, 1, p.D);
  v = copied_rows(element(qkv, before_k + p.D), at("v_cache"), token, p.G, 1, p.D);
  k.cached = v.cached = true;
  set_norm(q, p.layer.norm, p.D, at("w_q_norm"), at("b_q_norm"));
  set_norm(k, p.layer.norm, p.D, at("w_k_norm"), at("b_k_norm"));
  set_rotation(q, p.rope, 0, p.D);
  set_rotation(k, p.rope, 0, p.D);
  return params;
}

RopeAppendParams append_latents(const Problem& p, const PointerOf& at) {
  const Index L = p.layer.L;
  RopeAppendParams params = token_params(p, at);
  auto& [q, latent, none] = params.rows;
  q = copied_rows(at("q"), at("q_rot"), p.H * p.D, 1, p.H, p.D);
  latent = copied_rows(at("kv_down"), at("latent_cache"), latent_width(p), 1, 1, latent_width(p));
  latent.cached = true;
  set_norm(latent, Norm::rms, L, at("w_kv_norm"), nullptr);
  set_rotation(q, p.rope, p.Dn, p.Dr);
  set_rotation(latent, p.rope, L, p.Dr);
  return params;
}

/// Copies between [B, S, H, x_width] and [B, S, H, y_width].
CopyParams copy_of_heads(const Problem& p, Index S, void* x, Index x_width, void* y, Index y_width,
                         Index width) {
  CopyParams params{};
  params.x = x;
  params.y = y;
  params.x_stride = {S * p.H * x_width, p.H * x_width, x_width};
  params.y_stride = {S * p.H * y_width, p.H * y_width, y_width};
  params.B = to_int(p.B);
  params.S = to_int(S);
  params.heads = to_int(p.H);
  params.width = to_int(width);
  return params;
}

}  // namespace

GemmStage gemm_stage(const Problem& p, std::string_view stage, const PointerOf& at) {
  const Index E = p.layer.E, L = p.layer.L, Lq = p.layer.Lq;
  if (stage == "qkv")
    return linear(p, E, qkv_width(p), at("x"), at("w_qkv"), at("b_qkv"), at("qkv"));
  if (stage == "q_down") return linear(p, E, Lq, at("x"), at("w_dq"), nullptr, at("c_q"));
  if (stage == "q_up" && Lq > 0)
    return linear(p, Lq, p.H * p.D, at("c_q_norm"), at("w_uq"), nullptr, at("q"));
  if (stage == "q_up") return linear(p, E, p.H * p.D, at("x"), at("w_q"), nullptr, at("q"));
  if (stage == "kv_down")
    return linear(p, E, latent_width(p), at("x"), at("w_dkv"), nullptr, at("kv_down"));
  if (stage == "kv_up") return kv_up(p, at);
  if (stage == "q_absorb")
    return per_head(p, WeightLayout::kn, p.Dn, L, at, 0, "q_rot", p.D, "q_latent", latent_width(p));
  if (stage == "v_up") return per_head(p, WeightLayout::nk, L, p.Dv, at, p.Dn, "u", L, "o", p.Dv);
  ATTEST_CHECK(stage == "out", "layer: a stage of products must be known, got ", stage);
  void* o = p.layer.gate ? at("o_gated") : at("o");
  return linear(p, p.H * p.Dv, E, o, at("w_o"), at("b_o"), at("y"));
}

CopyParams q_pe_copy(const Problem& p, const PointerOf& at) {
  return copy_of_heads(p, p.Sq, element(at("q_rot"), p.Dn), p.D, element(at("q_latent"), p.layer.L),
                       latent_width(p), p.Dr);
}

RopeAppendParams q_norm_params(const Problem& p, const PointerOf& at) {
  const Index Lq = p.layer.Lq;
  RopeAppendParams params = token_params(p, at);
  params.rows[0] = copied_rows(at("c_q"), at("c_q_norm"), Lq, 1, 1, Lq);
  set_norm(params.rows[0], Norm::rms, Lq, at("w_q_norm"), nullptr);
  return params;
}

RopeAppendParams rope_append_params(const Problem& p, const PointerOf& at) {
  return is_mla(p) ? append_latents(p, at) : append_heads(p, at);
}

std::vector<CopyParams> assemble_copies(const Problem& p, const PointerOf& at) {
  const Index C = latent_width(p), kv_width = p.Dn + p.Dv;
  void* kv = at("kv");
  std::vector<CopyParams> copies = {
      copy_of_heads(p, p.Sk, kv, kv_width, at("k"), p.D, p.Dn),
      copy_of_heads(p, p.Sk, element(at("latent_cache"), p.layer.L), 0, element(at("k"), p.Dn), p.D,
                    p.Dr),
      copy_of_heads(p, p.Sk, element(kv, p.Dn), kv_width, at("v"), p.Dv, p.Dv)};
  for (CopyParams& copy : copies) copy.lens = static_cast<const int*>(at("seqlens_k"));
  CopyParams& k_pe = copies[1];  // one row of the cache for all heads
  k_pe.x_stride = {(p.page > 0 ? p.page : p.Sk) * C, C, 0};
  k_pe.block_table = static_cast<const int*>(at("block_table"));
  k_pe.page = to_int(p.page);
  k_pe.pages_per_row = to_int(p.page > 0 ? p.table_width() : 0);
  return copies;
}

AttentionParams attention_stage_params(const Problem& layer, const PointerOf& at) {
  const bool absorbed = layer.form == Form::absorbed, mla = is_mla(layer);
  const Problem core = core_of(layer);
  AttentionParams params = contiguous_params(core);
  params.q = at(absorbed ? "q_latent" : "q_rot");
  params.k = at(absorbed ? "latent_cache" : mla ? "k" : "k_cache");
  params.v = absorbed ? nullptr : at(mla ? "v" : "v_cache");
  params.o = at(absorbed ? "u" : "o");
  params.lse = static_cast<float*>(at("lse"));
  params.block_table = core.page > 0 ? static_cast<const int*>(at("block_table")) : nullptr;
  params.lens = static_cast<const int*>(at("seqlens_k"));
  params.sinks = static_cast<const float*>(at("sinks"));
  return params;
}

GateParams gate_params(const Problem& p, const PointerOf& at) {
  const Index group = qkv_width(p) / p.G, R = p.H / p.G;
  return {.o = at("o"),
          .gate = element(at("qkv"), R * p.D),  // behind q, before k
          .y = at("o_gated"),
          .gate_token = p.G * group,
          .gate_group = group,
          .tokens = to_int(p.B * p.Sq),
          .groups = to_int(p.G),
          .heads = to_int(R),
          .width = to_int(p.Dv)};
}

}  // namespace attest
