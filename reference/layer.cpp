#include "reference/layer.h"

#include <algorithm>
#include <cstring>

#include "cases/error.h"
#include "reference/layer_stages.h"
#include "reference/linear.h"

namespace attest::reference {
namespace {

bool is_mla(const Problem& p) { return p.variant == Variant::mla; }

/// Tensors that are there must have the shape that they have in the problem.
void check_shapes(const std::vector<TensorSpec>& specs, const TensorSet& set) {
  for (const TensorSpec& spec : specs) {
    const Tensor* tensor = set.find(spec.name);
    ATTEST_CHECK(!tensor || tensor->shape() == spec.shape, "reference: ", spec.name,
                 " does not fit the layer; give it the shape of layer_weights(), layer_caches() ",
                 "or layer_outputs()");
  }
}

Tensor renamed(const Tensor& x, std::string name) {
  Tensor result(std::move(name), x.dtype(), x.layout(), x.shape());
  std::ranges::copy(x.bytes(), result.bytes().begin());
  return result;
}

/// A projection of every token: x [B,Sq,...] by w [N,K], with a bias unless it is empty.
struct Projection {
  std::string_view x, w, b;
};

Projection projection_of(const Problem& p, std::string_view stage) {
  if (stage == "qkv") return {"x", "w_qkv", p.layer.bias != Bias::none ? "b_qkv" : ""};
  if (stage == "q_down") return {"x", "w_dq", ""};
  if (stage == "q_up" && p.layer.Lq > 0) return {"c_q_norm", "w_uq", ""};
  if (stage == "q_up") return {"x", "w_q", ""};
  if (stage == "kv_down") return {"x", "w_dkv", ""};
  ATTEST_CHECK(stage == "out", "reference: a layer has no stage ", stage, "; see stages()");
  return {p.layer.gate ? "o_gated" : "o", "w_o", p.layer.bias == Bias::all ? "b_o" : ""};
}

Truth project(const StageInputs& s, const Stage& stage) {
  const Projection from = projection_of(s.p, stage.name);
  const TensorSpec& to = stage.outputs.front();
  const std::vector<double> x = values((from.x == "x" ? s.inputs : s.left).at(from.x));
  const TensorView w = s.inputs.at(from.w).view();
  const std::vector<double> b =
      from.b.empty() ? std::vector<double>() : values(s.inputs.at(from.b));
  Truth truth;
  const Output y = add_output(truth, s.emit, to.name, to.layout, to.shape);
  const Index N = w.shape[0], K = w.shape[1];
  linear(from.w, {.rows = s.p.B * s.p.Sq,
                  .N = N,
                  .K = K,
                  .x = x.data(),
                  .x_stride = K,
                  .w = &w,
                  .b = from.b.empty() ? nullptr : b.data(),
                  .y = y.y,
                  .magnitude = y.magnitude,
                  .y_stride = N});
  return truth;
}

void add_sinks(const StageInputs& s, TensorSet& in) {
  if (const Tensor* sinks = s.inputs.find("sinks")) in.add(*sinks);
}

Truth attention_of_latents(const StageInputs& s, const Problem& core) {
  TensorSet in;
  in.add(renamed(s.left.at("q_latent"), "q"));
  in.add(cached_rows(s, s.left, "latent_cache", 0));
  add_sinks(s, in);
  Truth truth = attend(core, in, s.emit), result;
  result.outputs.add(renamed(truth.outputs.at("o"), "u"));
  result.outputs.add(truth.outputs.at("lse"));
  result.conditioning = std::move(truth.conditioning);
  return result;
}

Truth attention(const StageInputs& s) {
  Problem core = core_of(s.p);
  core.page = 0;  // rows are gathered here
  if (is_mla(s.p) && s.p.form == Form::absorbed) return attention_of_latents(s, core);
  TensorSet in;
  in.add(renamed(s.left.at("q_rot"), "q"));
  for (const std::string name : {"k", "v"}) {
    const Tensor rows = is_mla(s.p) ? rows_in_use(s.p, s.left.at(name), nullptr, 0)
                                    : cached_rows(s, s.left, name + "_cache", 0);
    in.add(renamed(rows, name));
  }
  add_sinks(s, in);
  return attend(core, in, s.emit);
}

Truth truth_of(const StageInputs& s, const Stage& stage) {
  switch (stage.kind) {
    case StageKind::norm:
      return q_norm(s);
    case StageKind::rope_append:
      return is_mla(s.p) ? rope_append_of_latents(s) : rope_append_of_heads(s);
    case StageKind::assemble:
      return assemble(s);
    case StageKind::attention:
      return attention(s);
    case StageKind::gate:
      return gate(s);
    case StageKind::gemm:
      break;
  }
  if (stage.name == "kv_up") return kv_up(s);
  if (stage.name == "q_absorb") return q_absorb(s);
  if (stage.name == "v_up") return v_up(s);
  return project(s, stage);
}

bool is_cache(const std::string& name) { return name.ends_with("_cache"); }

/// A cache after the call: earlier tokens, then the new rows [B,Sq,...]; fp64 [B,Sk,...].
Tensor appended(const StageInputs& s, const Tensor& added) {
  const Problem& p = s.p;
  const Tensor earlier = cached_rows(s, s.inputs, added.name(), p.Sq);
  const std::vector<double> old = values(earlier), fresh = values(added);
  Tensor cache(added.name(), Dtype::fp64, earlier.layout(), earlier.shape());
  const Index width = added.size() / (p.B * p.Sq);
  double* rows = cache.as<double>().data();
  std::ranges::copy(old, rows);
  for (Index b = 0; b < p.B; ++b)
    std::copy_n(fresh.data() + b * p.Sq * width, p.Sq * width,
                rows + (b * p.Sk + cached_tokens(p, b)) * width);
  return cache;
}

}  // namespace

Truth layer_stage(const Problem& p, const Stage& stage, const TensorSet& inputs,
                  const TensorSet& left) {
  check_shapes(layer_weights(p), inputs);
  check_shapes(layer_caches(p), inputs);
  check_shapes(layer_outputs(p), left);
  return truth_of({p, inputs, left, Emit::outputs_and_conditioning}, stage);
}

Truth layer(const Problem& p, const TensorSet& inputs) {
  check_shapes(layer_weights(p), inputs);
  check_shapes(layer_caches(p), inputs);
  Problem dense = p;
  dense.page = 0;  // caches are dense once the new rows are in
  Truth result;
  TensorSet left;
  for (const Stage& stage : stages(dense)) {
    const bool attends = stage.kind == StageKind::attention;
    Truth truth = truth_of(
        {dense, inputs, left, attends ? Emit::outputs_and_conditioning : Emit::outputs}, stage);
    for (const Tensor& output : truth.outputs) {
      const std::string& name = output.name();
      const bool cache = is_cache(name);
      left.add(cache ? appended({p, inputs, left, Emit::outputs}, output) : output);
      if (cache || name == "q_rot" || name == "u" || name == "o" || name == "lse" || name == "y")
        result.outputs.add(output);
    }
    if (attends) result.conditioning = std::move(truth.conditioning);
  }
  return result;
}

}  // namespace attest::reference
