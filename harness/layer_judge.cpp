#include "harness/layer_judge.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cases/error.h"
#include "cases/stages.h"
#include "harness/gates.h"
#include "harness/layer_limit.h"
#include "harness/stage_bound.h"
#include "harness/stage_compare.h"
#include "reference/layer.h"

namespace attest {
namespace {

Tensor renamed(const Tensor& from, const std::string& name) {
  Tensor to(name, from.dtype(), from.layout(), from.shape());
  std::memcpy(to.bytes().data(), from.bytes().data(), to.bytes().size());
  return to;
}

/// o and lse as core attention names them; a layer in absorbed form calls its o u.
TensorSet as_core(const Stage& stage, const TensorSet& from) {
  TensorSet core;
  core.add(renamed(from.at(stage.outputs[0].name), "o"));
  core.add(renamed(from.at("lse"), "lse"));
  return core;
}

/// Attention is a problem of its own, with every gate that it has.
StageResult judge_attention(const Problem& p, const Stage& stage, const Truth& truth,
                            const Descriptor& d, const TensorSet& outputs, Judgement& whole) {
  const Truth core{.outputs = as_core(stage, truth.outputs), .conditioning = truth.conditioning};
  const Judgement j = judge(core_of(p), core, d, as_core(stage, outputs));
  const Metrics before = whole.metrics;
  whole.metrics = j.metrics;
  whole.metrics.hard_ratio = std::max(before.hard_ratio, j.metrics.hard_ratio);
  StageResult result{.stage = std::string(stage.name), .verdict = j.verdict, .check = j.check};
  result.message = j.message;
  result.ratio = j.metrics.worst_ratio();
  result.rho = j.metrics.rho;
  result.worst = j.worst;
  result.failing = j.failing;
  result.total = j.total;
  return result;
}

/// The first stage that fails names the verdict; one that proves nothing leaves all unproved.
void add(StageResult result, Judgement& whole) {
  const bool worse = (result.verdict == Verdict::fail && whole.verdict != Verdict::fail) ||
                     (result.verdict == Verdict::untrusted && whole.verdict == Verdict::pass);
  whole.total += result.total;
  if (worse) {
    whole.verdict = result.verdict;
    whole.check = result.check;
    whole.message = concat("stage ", result.stage, ": ", result.message);
    whole.worst = result.worst;
    whole.failing = result.failing;
  }
  whole.stages.push_back(std::move(result));
}

}  // namespace

Judgement judge_stages(const Problem& p, const TensorSet& inputs, const Descriptor& d,
                       const TensorSet& outputs) {
  Judgement whole;
  for (const Tensor& tensor : outputs)
    if (!tensor.canary_intact()) {
      whole.verdict = Verdict::fail;
      whole.check = Check::canary;
      whole.message = concat(tensor.name(), ": bytes before or behind the tensor were overwritten");
      return whole;
    }
  for (const Stage& stage : stages(p)) {
    Truth truth;
    try {
      truth = reference::layer_stage(p, stage, inputs, outputs);
    } catch (const Error&) {
      if (whole.verdict != Verdict::fail) throw;
      break;  // a stage failed before, and what it left, an old row of a cache, is not finite
    }
    if (stage.kind == StageKind::attention) {
      add(judge_attention(p, stage, truth, d, outputs, whole), whole);
    } else {
      StageResult result = compare_stage(p, stage, truth, d, inputs, outputs);
      whole.metrics.hard_ratio = std::max(whole.metrics.hard_ratio, result.ratio);
      add(std::move(result), whole);
    }
    // What follows from a tensor that is not finite is no evidence, and no input of the reference.
    if (whole.verdict == Verdict::fail && whole.check == Check::nonfinite) break;
  }
  return whole;
}

void judge_end_to_end(const Problem& p, const Truth& truth, std::span<const double> y,
                      Judgement& whole) {
  const std::span<const double> want = truth.outputs.at("y").as<double>();
  double error2 = 0, want2 = 0;
  for (std::size_t n = 0; n < y.size(); ++n) {
    error2 += (y[n] - want[n]) * (y[n] - want[n]);
    want2 += want[n] * want[n];
  }
  Metrics& m = whole.metrics;
  m.rms = y.empty() ? 0 : std::sqrt(want2 / static_cast<double>(y.size()));
  m.nmse = want2 > 0 ? error2 / want2 : error2;
  const double limit = layer_nmse_limit(p, truth);
  whole.end_to_end_limit = limit;
  if (whole.verdict == Verdict::fail || m.nmse <= limit) return;
  whole.verdict = Verdict::fail;
  whole.check = Check::nmse;
  whole.message = concat("end to end: error^2 of y over y^2 is ", m.nmse, ", above ", limit,
                         whole.stages.empty() ? "" : "; every stage by itself is within its bound");
}

Judgement judge_layer(const Problem& p, const TensorSet& inputs, const Truth& truth,
                      const Descriptor& d, const TensorSet& outputs) {
  Judgement whole = judge_stages(p, inputs, d, outputs);
  std::vector<double> y;
  const Tensor& stored = outputs.at("y");
  for (Index n = 0; n < stored.size(); ++n) y.push_back(stored.value(n));
  judge_end_to_end(p, truth, y, whole);
  return whole;
}

}  // namespace attest
