#include "harness/run_layer.h"

#include <algorithm>
#include <vector>

#include "cases/error.h"
#include "cases/shard.h"
#include "cases/stages.h"
#include "cuda/kernel.h"
#include "harness/layer_inputs.h"
#include "harness/layer_judge.h"
#include "harness/poison.h"
#include "harness/run_support.h"
#include "reference/layer.h"

namespace attest {
namespace {

void add_values(const Tensor& y, std::vector<double>& sum) {
  sum.resize(static_cast<std::size_t>(y.size()));
  for (Index n = 0; n < y.size(); ++n) sum[static_cast<std::size_t>(n)] += y.value(n);
}

/// Takes over what a shard's judgement adds to that of the whole. Stages of ranks: qkv/0, qkv/1.
void merge(const Judgement& shard, Index rank, Index ranks, Judgement& whole) {
  const bool worse = (shard.verdict == Verdict::fail && whole.verdict != Verdict::fail) ||
                     (shard.verdict == Verdict::untrusted && whole.verdict == Verdict::pass);
  const double ratio = std::max(whole.metrics.hard_ratio, shard.metrics.hard_ratio);
  if (worse || whole.stages.empty()) {
    std::vector<StageResult> stages = std::move(whole.stages);
    const Index total = whole.total;
    whole = shard;
    whole.stages = std::move(stages);
    whole.total += total;
    if (!whole.message.empty()) whole.message = concat("rank ", rank, ": ", whole.message);
  } else {
    whole.total += shard.total;
  }
  whole.metrics.hard_ratio = ratio;
  for (const StageResult& stage : shard.stages) {
    whole.stages.push_back(stage);
    if (ranks > 1) whole.stages.back().stage = concat(stage.stage, '/', rank);
  }
}

}  // namespace

Record run_layer(const Case& which) {
  const Kernel& kernel = find_kernel(which.run.kernel, which.run.backend);
  const Problem& problem = which.problem;
  const Index tp = problem.layer.tp;
  Record record;
  record.which = which;
  record.device = device_name(which.run.backend);
  Stopwatch watch;
  const TensorSet inputs = make_layer_inputs(problem);
  record.inputs_sha256 = hash_of(inputs);
  record.seconds.inputs = watch.lap();
  const Truth truth = reference::layer(problem, inputs);
  record.seconds.reference = watch.lap();

  std::vector<double> y;
  std::string hashes;
  try {
    for (Index rank = 0; rank < tp; ++rank) {
      const Problem shard = tp > 1 ? shard_of(problem, rank) : problem;
      const TensorSet own = tp > 1 ? shard_inputs(problem, rank, inputs) : inputs;
      const Descriptor descriptor =
          kernel.descriptor(shard, kernel.splits(shard, which.run.splits));
      record.descriptor = descriptor;
      TensorSet outputs = empty_layer_outputs(shard, own);
      record.seconds.inputs += watch.lap();
      kernel.run(shard, which.run, own, outputs);
      record.seconds.kernel += watch.lap();
      Judgement judgement = judge_stages(shard, own, descriptor, outputs);
      record.seconds.judge += watch.lap();
      if (judgement.verdict != Verdict::fail)  // a stage that failed says more
        ask_poison(
            shard, own, outputs,
            [&](const TensorSet& poisoned) {
              TensorSet again = empty_layer_outputs(shard, poisoned);
              kernel.run(shard, which.run, poisoned, again);
              return again;
            },
            judgement);
      record.seconds.kernel += watch.lap();
      merge(judgement, rank, tp, record.judgement);
      add_values(outputs.at("y"), y);
      hashes += hash_of(outputs);
      record.o_sha256 = outputs.at("y").sha256();
      record.lse_sha256 = outputs.at("lse").sha256();
      record.seconds.judge += watch.lap();
    }
    judge_end_to_end(problem, truth, y, record.judgement);
    record.seconds.judge += watch.lap();
  } catch (const KernelFault& fault) {
    record.judgement.verdict = Verdict::crash;
    record.judgement.message = fault.what();
    record.crash = reason_of(fault.kind());
  }
  return record;
}

}  // namespace attest
