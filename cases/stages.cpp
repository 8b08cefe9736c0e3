#include "cases/stages.h"

#include "cases/error.h"

namespace attest {
namespace {

bool is_mla(const Problem& p) { return p.variant == Variant::mla; }

TensorSpec spec(const Problem& p, std::string name, std::string layout, std::vector<Index> shape) {
  return {std::move(name), std::move(layout), std::move(shape), p.dtype};
}

TensorSpec rows(const Problem& p, std::string name, Index width) {
  return spec(p, std::move(name), "BSE", {p.B, p.Sq, width});
}

TensorSpec heads(const Problem& p, std::string name, Index length, Index count, Index width) {
  return spec(p, std::move(name), "BSHD", {p.B, length, count, width});
}

TensorSpec lse(const Problem& p) { return {"lse", "BHS", {p.B, p.H, p.Sq}, Dtype::fp32}; }

TensorSpec matrix(const Problem& p, std::string name, Index count, Index columns) {
  return spec(p, std::move(name), "NK", {count, columns});
}

TensorSpec vector(const Problem& p, std::string name, Index count) {
  return spec(p, std::move(name), "N", {count});
}

TensorSpec cache(const Problem& p, std::string name, std::string layout, std::vector<Index> row) {
  std::vector<Index> shape =
      p.page > 0 ? std::vector<Index>{p.pool_pages(), p.page} : std::vector<Index>{p.B, p.Sk};
  for (Index extent : row) shape.push_back(extent);
  return spec(p, std::move(name), (p.page > 0 ? "PS" : "BS") + layout, shape);
}

std::vector<TensorSpec> caches(const Problem& p) {
  if (is_mla(p)) return {cache(p, "latent_cache", "C", {p.layer.L + p.Dr})};
  return {cache(p, "k_cache", "HD", {p.G, p.D}), cache(p, "v_cache", "HD", {p.G, p.Dv})};
}

std::vector<TensorSpec> appended(const Problem& p) {
  std::vector<TensorSpec> result = {heads(p, "q_rot", p.Sq, p.H, p.D)};
  for (TensorSpec& each : caches(p)) result.push_back(std::move(each));
  return result;
}

Index qkv_rows(const Problem& p) { return (p.H * (p.layer.gate ? 2 : 1) + 2 * p.G) * p.D; }

std::vector<Stage> stages_of_mla(const Problem& p) {
  const Index L = p.layer.L, Lq = p.layer.Lq;
  std::vector<Stage> all;
  if (Lq > 0) {
    all.push_back({"q_down", StageKind::gemm, {rows(p, "c_q", Lq)}});
    all.push_back({"q_norm", StageKind::norm, {rows(p, "c_q_norm", Lq)}});
  }
  all.push_back({"q_up", StageKind::gemm, {heads(p, "q", p.Sq, p.H, p.D)}});
  all.push_back({"kv_down", StageKind::gemm, {rows(p, "kv_down", L + p.Dr)}});
  all.push_back({"rope_append", StageKind::rope_append, appended(p)});
  const TensorSpec o = heads(p, "o", p.Sq, p.H, p.Dv);
  if (p.form == Form::expanded) {
    all.push_back({"kv_up", StageKind::gemm, {heads(p, "kv", p.Sk, p.H, p.Dn + p.Dv)}});
    all.push_back({"assemble",
                   StageKind::assemble,
                   {heads(p, "k", p.Sk, p.H, p.D), heads(p, "v", p.Sk, p.H, p.Dv)}});
    all.push_back({"attention", StageKind::attention, {o, lse(p)}});
  } else {
    all.push_back({"q_absorb", StageKind::gemm, {heads(p, "q_latent", p.Sq, p.H, L + p.Dr)}});
    all.push_back({"attention", StageKind::attention, {heads(p, "u", p.Sq, p.H, L), lse(p)}});
    all.push_back({"v_up", StageKind::gemm, {o}});
  }
  return all;
}

std::vector<Stage> stages_of_others(const Problem& p) {
  std::vector<Stage> all = {
      {"qkv", StageKind::gemm, {rows(p, "qkv", qkv_rows(p))}},
      {"rope_append", StageKind::rope_append, appended(p)},
      {"attention", StageKind::attention, {heads(p, "o", p.Sq, p.H, p.Dv), lse(p)}}};
  if (p.layer.gate)
    all.push_back({"gate", StageKind::gate, {heads(p, "o_gated", p.Sq, p.H, p.Dv)}});
  return all;
}

void check_level(const Problem& p) {
  ATTEST_CHECK(p.level == Level::layer, "stages: only a problem of level=layer has stages, got ",
               print(p));
}

}  // namespace

Tensor make_tensor(const TensorSpec& s) { return Tensor(s.name, s.dtype, s.layout, s.shape); }

std::vector<Stage> stages(const Problem& p) {
  check_level(p);
  std::vector<Stage> all = is_mla(p) ? stages_of_mla(p) : stages_of_others(p);
  all.push_back({"out", StageKind::gemm, {rows(p, "y", p.layer.E)}});
  return all;
}

std::vector<TensorSpec> layer_outputs(const Problem& p) {
  std::vector<TensorSpec> all;
  for (const Stage& stage : stages(p))
    for (const TensorSpec& output : stage.outputs) all.push_back(output);
  return all;
}

std::vector<TensorSpec> layer_weights(const Problem& p) {
  check_level(p);
  const Index E = p.layer.E, L = p.layer.L, Lq = p.layer.Lq;
  std::vector<TensorSpec> all = {rows(p, "x", E)};
  const auto add = [&](TensorSpec each) { all.push_back(std::move(each)); };
  if (is_mla(p)) {
    if (Lq > 0) {
      add(matrix(p, "w_dq", Lq, E));
      add(vector(p, "w_q_norm", Lq));
      add(matrix(p, "w_uq", p.H * p.D, Lq));
    } else {
      add(matrix(p, "w_q", p.H * p.D, E));
    }
    add(matrix(p, "w_dkv", L + p.Dr, E));
    add(vector(p, "w_kv_norm", L));
    add(matrix(p, "w_ukv", p.H * (p.Dn + p.Dv), L));
  } else {
    add(matrix(p, "w_qkv", qkv_rows(p), E));
    if (p.layer.bias != Bias::none) add(vector(p, "b_qkv", qkv_rows(p)));
    if (p.layer.norm != Norm::none && p.layer.norm != Norm::l2)
      for (const char* name : {"w_q_norm", "w_k_norm"}) add(vector(p, name, p.D));
    if (p.layer.norm == Norm::layer)
      for (const char* name : {"b_q_norm", "b_k_norm"}) add(vector(p, name, p.D));
  }
  add(matrix(p, "w_o", E, p.H * p.Dv));
  if (p.layer.bias == Bias::all) add(vector(p, "b_o", E));
  if (p.sink == Sink::learned) add({"sinks", "H", {p.H}, Dtype::fp32});
  return all;
}

std::vector<TensorSpec> layer_caches(const Problem& p) {
  check_level(p);
  std::vector<TensorSpec> all = caches(p);
  if (p.page > 0) all.push_back({"block_table", "BN", {p.B, p.table_width()}, Dtype::int32});
  return all;
}

Problem core_of(const Problem& layer) {
  check_level(layer);
  Problem core = layer;
  core.level = Level::core;
  core.layer = {};
  if (!is_mla(layer)) core.rope = {};
  if (is_mla(layer) && layer.form == Form::absorbed) {
    core.G = 1;
    core.D = layer.layer.L + layer.Dr;
    core.Dv = layer.layer.L;
  }
  if (is_mla(layer) && layer.form == Form::expanded) core.page = 0;  // k and v are made anew
  return core;
}

Problem shard_of(const Problem& layer, Index rank) {
  check_level(layer);
  const Index tp = layer.layer.tp;
  ATTEST_CHECK(rank >= 0 && rank < tp, "shard: rank must lie in [0, tp), got ", rank,
               " with tp=", tp);
  Problem shard = layer;
  shard.layer.tp = 1;
  shard.H = layer.H / tp;
  shard.G = layer.G >= tp ? layer.G / tp : 1;
  if (layer.variant == Variant::mha && shard.G != shard.H) shard.variant = Variant::gqa;
  return shard;
}

}  // namespace attest
