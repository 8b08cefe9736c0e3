#include "harness/run_case.h"

#include "cases/error.h"
#include "cases/inputs.h"
#include "harness/dump.h"
#include "harness/inputs.h"
#include "harness/poison.h"
#include "harness/run_layer.h"
#include "harness/run_support.h"
#include "reference/reference.h"

namespace attest {

Question pose(const Problem& problem) {
  Stopwatch watch;
  Question question{.problem = problem, .inputs = make_inputs(problem), .truth = {}, .seconds = {}};
  question.seconds.inputs = watch.lap();
  question.truth =
      reference::attend(problem, question.inputs, reference::Emit::outputs_and_conditioning);
  question.seconds.reference = watch.lap();
  return question;
}

TensorSet empty_outputs(const Problem& p) {
  TensorSet outputs;
  for (const TensorSpec& spec : outputs_of(p)) outputs.add(make_tensor(spec));
  return outputs;
}

Record run_case(const Case& which, const std::filesystem::path& failures) {
  const Kernel& kernel = find_kernel(which.run.kernel, which.run.backend);
  if (const std::string reason = kernel.supports(which.problem); !reason.empty())
    return unfinished(which, Verdict::skip, concat(kernel.name, ": ", reason));
  if (which.problem.level == Level::layer) return run_layer(which);
  return run_case(which, pose(which.problem), failures);
}

Record run_case(const Case& which, const Question& question,
                const std::filesystem::path& failures) {
  const Kernel& kernel = find_kernel(which.run.kernel, which.run.backend);
  Record record;
  record.which = which;
  record.seconds = question.seconds;
  record.device = device_name(which.run.backend);
  record.descriptor =
      kernel.descriptor(which.problem, kernel.splits(which.problem, which.run.splits));
  record.inputs_sha256 = hash_of(question.inputs);

  TensorSet outputs = empty_outputs(which.problem);
  const Rerun rerun = [&](const TensorSet& inputs) {
    TensorSet again = empty_outputs(which.problem);
    kernel.run(which.problem, which.run, inputs, again);
    return in_order(again);
  };
  Stopwatch watch;
  try {
    kernel.run(which.problem, which.run, question.inputs, outputs);
    record.seconds.kernel = watch.lap();
    record.judgement = judge(which.problem, question.truth, *record.descriptor, outputs);
    outputs = in_order(outputs);
    record.seconds.judge = watch.lap();
    if (record.judgement.check != Check::canary) {
      ask_poison(which.problem, question.inputs, outputs, rerun, record.judgement);
      record.seconds.kernel += watch.lap();
    }
  } catch (const KernelFault& fault) {
    record.seconds.kernel = watch.lap();
    record.judgement.verdict = Verdict::crash;
    record.judgement.message = fault.what();
    record.crash = reason_of(fault.kind());
  }
  record.o_sha256 = outputs.at("o").sha256();
  record.lse_sha256 = outputs.at("lse").sha256();

  const Verdict verdict = record.judgement.verdict;
  const bool failed = verdict == Verdict::fail || verdict == Verdict::crash;
  if (failed && !failures.empty())
    record.dump = write_dump(failures, which, question, *record.descriptor, outputs).string();
  return record;
}

}  // namespace attest
