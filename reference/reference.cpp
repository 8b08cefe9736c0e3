#include "reference/reference.h"

#include <atomic>
#include <cmath>
#include <utility>
#include <vector>

#include "cases/error.h"
#include "reference/build.h"
#include "reference/pages.h"
#include "reference/rope.h"

namespace attest::reference {
namespace {

const Build& best_build() {
  const Build* best = nullptr;
  for (const Build& build : builds())
    if (build.runs_here()) best = &build;
  return *best;
}

std::atomic<const Build*>& chosen_build() {
  static std::atomic<const Build*> build = &best_build();
  return build;
}

std::string extents(const std::vector<Index>& shape) {
  std::string text;
  for (Index extent : shape) text += concat(text.empty() ? "" : "x", extent);
  return text;
}

void check_input(std::string_view name, const TensorView& x, const std::vector<Index>& shape) {
  ATTEST_CHECK(x.shape == shape && x.strides.size() == shape.size(), "reference: ", name,
               " must have the shape ", extents(shape), ", got ", extents(x.shape));
  ATTEST_CHECK(is_float(x.dtype), "reference: ", name, " must be floating-point, got ",
               attest::name(x.dtype));
}

void check_lengths(const Problem& n, const Tensor& lens) {
  ATTEST_CHECK(lens.dtype() == Dtype::int32 && lens.shape() == std::vector<Index>{n.B},
               "reference: seqlens_k must be int32 of shape ", n.B, ", got another");
  for (Index b = 0; b < n.B; ++b) {
    const Index length = lens.as<std::int32_t>()[static_cast<std::size_t>(b)];
    ATTEST_CHECK(length == n.length(b), "reference: seqlens_k must hold the problem's lens, got ",
                 length, " for ", n.length(b), " at [", b, "]");
  }
}

double* add(TensorSet& set, const char* name, const char* layout, std::vector<Index> shape) {
  return set.add(Tensor(name, Dtype::fp64, layout, std::move(shape))).as<double>().data();
}

ConditioningOutputs add_conditioning(TensorSet& set, const Problem& n) {
  const auto element = [&](const char* name) {
    return add(set, name, "BSHD", {n.B, n.Sq, n.H, n.Dv});
  };
  const auto row = [&](const char* name) { return add(set, name, "BHS", {n.B, n.H, n.Sq}); };
  ConditioningOutputs to;
  to.abs_mag = element("abs_mag");
  to.abs_mag_a = element("abs_mag_a");
  to.abs_mag_gap = element("abs_mag_gap");
  to.second_moment = element("second_moment");
  to.visible_abs_v = element("visible_abs_v");
  to.visible = row("visible");
  to.row_max = row("row_max");
  to.row_sum = row("row_sum");
  to.mean_a = row("mean_a");
  to.mean_gap = row("mean_gap");
  to.max_a = row("max_a");
  to.max_gap = row("max_gap");
  to.max_raises = row("max_raises");
  return to;
}

/// What enters beside q, k and v. Empty where the problem has none.
struct OtherInputs {
  std::vector<double> k_scale, v_scale;     // [G]
  std::vector<double> alibi_slopes, sinks;  // [H]
  TensorView attn_bias, attn_mask;          // [1 or B, 1 or H, Sq, Sk]
};

std::vector<double> of_heads(Index heads, const TensorSet& inputs, std::string_view name) {
  const Tensor& x = inputs.at(name);
  check_input(name, x.view(), {heads});
  std::vector<double> all;
  for (Index h = 0; h < heads; ++h) {
    all.push_back(x.value(h));
    ATTEST_CHECK(std::isfinite(all.back()), "reference: ", name, " must be finite, got ",
                 all.back(), " for head ", h);
  }
  return all;
}

/// -inf masks a key. Columns behind a batch entry's keys may be anything.
void check_bias(const Problem& n, const Tensor& bias) {
  check_input("attn_bias", bias.view(), n.pair_shape(n.attn_bias));
  const std::vector<Index>& shape = bias.shape();
  for (Index b = 0; b < n.B; ++b)
    for (Index row = 0; row < shape[1] * n.Sq; ++row)
      for (Index j = 0; j < n.length(b); ++j) {
        const double x = bias.value(((shape[0] == 1 ? 0 : b) * shape[1] * n.Sq + row) * n.Sk + j);
        ATTEST_CHECK(x < HUGE_VAL, "reference: attn_bias must be finite or -inf, got ", x,
                     " at batch entry ", b, ", key ", j);
      }
}

OtherInputs other_inputs(const Problem& n, const TensorSet& inputs) {
  OtherInputs in;
  if (n.kv) {
    in.k_scale = of_heads(n.G, inputs, "k_scale");
    in.v_scale = n.form == Form::absorbed ? in.k_scale : of_heads(n.G, inputs, "v_scale");
  }
  if (n.alibi) in.alibi_slopes = of_heads(n.H, inputs, "alibi_slopes");
  if (n.sink == Sink::one) in.sinks.assign(static_cast<std::size_t>(n.H), 0.0);
  if (n.sink == Sink::learned) in.sinks = of_heads(n.H, inputs, "sinks");
  if (n.attn_bias != PerPair::none) {
    check_bias(n, inputs.at("attn_bias"));
    in.attn_bias = inputs.at("attn_bias").view();
  }
  if (n.attn_mask != PerPair::none) {
    const Tensor& mask = inputs.at("attn_mask");
    ATTEST_CHECK(mask.dtype() == Dtype::boolean && mask.shape() == n.pair_shape(n.attn_mask),
                 "reference: attn_mask must be bool of shape ", extents(n.pair_shape(n.attn_mask)),
                 ", got ", name(mask.dtype()), " of ", extents(mask.shape()));
    in.attn_mask = mask.view();
  }
  return in;
}

Truth attend(const Problem& n, const TensorView& q, const TensorView& k, const TensorView& v,
             const OtherInputs& in, Emit emit) {
  validate(n);
  ATTEST_CHECK(n.level == Level::core, "reference: attend() takes a problem of level=core, got ",
               print(n));
  check_input("q", q, {n.B, n.Sq, n.H, n.D});
  check_input("k", k, {n.B, n.Sk, n.G, n.D});
  check_input("v", v, {n.B, n.Sk, n.G, n.Dv});

  std::vector<Index> lens;
  for (Index b = 0; b < n.B; ++b) lens.push_back(n.length(b));
  Truth truth;
  Task task{.B = n.B,
            .Sq = n.Sq,
            .Sk = n.Sk,
            .H = n.H,
            .G = n.G,
            .D = n.D,
            .Dv = n.Dv,
            .form = n.form,
            .Dn = n.Dn,
            .Dr = n.Dr,
            .mask = n.mask,
            .window = n.window,
            .scale = softmax_scale(n),
            .softcap = n.softcap,
            .alibi_slopes = in.alibi_slopes.empty() ? nullptr : in.alibi_slopes.data(),
            .attn_bias = in.attn_bias.data ? &in.attn_bias : nullptr,
            .attn_mask = in.attn_mask.data ? &in.attn_mask : nullptr,
            .sinks = in.sinks.empty() ? nullptr : in.sinks.data(),
            .k_scale = in.k_scale.empty() ? nullptr : in.k_scale.data(),
            .v_scale = in.v_scale.empty() ? nullptr : in.v_scale.data(),
            .lens = lens.data(),
            .q = &q,
            .k = &k,
            .v = &v,
            .o = nullptr,
            .lse = nullptr,
            .with_conditioning = false,
            .conditioning = {}};
  task.o = add(truth.outputs, "o", "BSHD", {n.B, n.Sq, n.H, n.Dv});
  task.lse = add(truth.outputs, "lse", "BHS", {n.B, n.H, n.Sq});
  task.with_conditioning = emit == Emit::outputs_and_conditioning;
  if (task.with_conditioning) task.conditioning = add_conditioning(truth.conditioning, n);
  chosen_build().load()->attend(n.variant, task);
  return truth;
}

}  // namespace

Truth attend(const Problem& problem, const TensorView& q, const TensorView& k, const TensorView& v,
             Emit emit) {
  return attend(problem, q, k, v, other_inputs(problem, {}), emit);
}

Truth attend(const Problem& problem, const TensorSet& inputs, Emit emit) {
  if (const Tensor* lens = inputs.find("seqlens_k")) check_lengths(problem, *lens);
  if (problem.page > 0) {
    Problem dense = problem;
    dense.page = 0;
    TensorSet gathered;
    for (const Tensor& x : inputs) {
      const std::string& name = x.name();
      const bool cache = name.ends_with("_cache"), latent = name == "latent_cache";
      if (cache)
        gathered.add(
            gather_pages(latent ? name : name.substr(0, 1), x, inputs.at("block_table"), problem));
      else if (name != "block_table")
        gathered.add(x);
    }
    return attend(dense, gathered, emit);
  }
  const OtherInputs in = other_inputs(problem, inputs);
  if (problem.form == Form::absorbed) {
    const TensorView latent = inputs.at("latent_cache").view();  // [B, Sk, D]
    check_input("latent_cache", latent, {problem.B, problem.Sk, problem.D});
    TensorView k = latent, v = latent;
    k.shape = {problem.B, problem.Sk, 1, problem.D};
    k.strides = {latent.strides[0], latent.strides[1], 0, latent.strides[2]};
    v.shape = {problem.B, problem.Sk, 1, problem.Dv};
    v.strides = k.strides;
    return attend(problem, inputs.at("q").view(), k, v, in, emit);
  }
  if (problem.layout == Layout::qkv) {
    const TensorView qkv = inputs.at("qkv").view();
    check_input("qkv", qkv, {problem.B, problem.Sq, problem.H + 2 * problem.G, problem.D});
    const auto heads = [&](Index first, Index count) { return slice(qkv, 2, first, count); };
    return attend(problem, heads(0, problem.H), heads(problem.H, problem.G),
                  heads(problem.H + problem.G, problem.G), in, emit);
  }
  const auto view = [&](const char* name) { return rearranged(inputs.at(name), "BSHD"); };
  return attend(problem, view("q"), view("k"), view("v"), in, emit);
}

void linear(std::string_view name, const Linear& task) {
  ATTEST_CHECK(chosen_build().load()->linear(task),
               "reference: weights must be finite, got an infinity or NaN in ", name);
}

double softmax_scale(const Problem& p) {
  if (p.scale > 0) return p.scale;
  if (p.variant != Variant::mla) return 1 / std::sqrt(static_cast<double>(p.D));
  return mla_scale_factor(p.rope) / std::sqrt(static_cast<double>(p.Dn + p.Dr));
}

std::string_view instruction_set() { return chosen_build().load()->name; }

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Build& build : builds())
    if (build.runs_here()) names.emplace_back(build.name);
  return names;
}

void choose_instruction_set(std::string_view name) {
  if (name.empty()) {
    chosen_build() = &best_build();
    return;
  }
  std::string known;
  for (const Build& build : builds()) {
    if (!build.runs_here()) continue;
    if (build.name == name) {
      chosen_build() = &build;
      return;
    }
    known += concat(' ', build.name);
  }
  throw Error(concat("reference: the instruction set must be one of", known, ", got ", name));
}

double fma_peak_flops(int threads) {
  ATTEST_CHECK(threads >= 1, "reference: threads must be at least 1, got ", threads);
  return chosen_build().load()->fma_peak_flops(threads);
}

}  // namespace attest::reference
