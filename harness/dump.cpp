#include "harness/dump.h"

#include <algorithm>

#include "cases/error.h"
#include "cases/sha256.h"
#include "golden/golden_file.h"
#include "harness/provenance.h"
#include "harness/tolerance.h"
#include "reference/reference.h"

namespace attest {
namespace {

Tensor tensor_of(const std::string& name, const Tensor& like, const std::vector<double>& values) {
  Tensor tensor(name, Dtype::fp64, like.layout(), like.shape());
  std::copy(values.begin(), values.end(), tensor.as<double>().begin());
  return tensor;
}

}  // namespace

std::filesystem::path write_dump(const std::filesystem::path& failures, const Case& which,
                                 const Question& question, const Descriptor& descriptor,
                                 const TensorSet& got) {
  const Bounds bounds = derive_bounds(which.problem, question.truth, descriptor);
  TensorSet bound;
  bound.add(tensor_of("o", question.truth.outputs.at("o"), bounds.hard_bound));
  bound.add(tensor_of("lse", question.truth.outputs.at("lse"), bounds.lse_bound));

  StoredCase stored;
  stored.problem = which.problem;
  stored.groups = {{"inputs", question.inputs},
                   {"outputs", question.truth.outputs},
                   {"conditioning", question.truth.conditioning},
                   {"got", got},
                   {"bound", bound}};
  stored.attributes = {{"run", print(which.run)}};

  std::error_code error;
  std::filesystem::create_directories(failures, error);
  if (error)
    throw InfraError(concat("dump: the folder of failing cases must exist, got ", error.message(),
                            " for ", failures.string(), "; choose another --report"));
  const std::string run_id = sha256(print(which)).substr(0, 8);  // one problem, several runs
  const std::filesystem::path path =
      failures / concat(case_id(which.problem), '-', which.run.kernel, '-', run_id, ".h5");
  GoldenWriter writer(path, provenance(rerun_command(which)));
  writer.add(stored);
  writer.publish();
  return path;
}

Replay read_dump(const std::filesystem::path& path) {
  const GoldenFile file(path);
  const std::vector<std::string> ids = file.case_ids();
  if (ids.size() != 1)
    throw InfraError(concat("replay: a dump must hold one case, got ", ids.size(), " in ",
                            path.string(), "; name a file of a report's failures/ folder"));
  const StoredCase stored = file.read(ids.front());
  const auto run = stored.attributes.find("run");
  if (run == stored.attributes.end() || !stored.groups.contains("inputs"))
    throw InfraError(
        concat("replay: a dump must say how the case was run, got a golden without "
               "the attribute `run` in ",
               path.string(), "; name a file of a report's failures/ folder"));
  Replay replay;
  replay.which = parse_case(concat(print(stored.problem), " | ", run->second));
  replay.question.problem = stored.problem;
  replay.question.inputs = stored.groups.at("inputs");
  replay.question.truth = reference::attend(stored.problem, replay.question.inputs,
                                            reference::Emit::outputs_and_conditioning);
  return replay;
}

}  // namespace attest
