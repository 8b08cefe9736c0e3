#include <thread>

#include "cases/layer_work.h"
#include "cuda/kernel.h"
#include "cuda/simt/emulator.h"
#include "harness/bench.h"
#include "harness/bench_problems.h"
#include "harness/bench_rows.h"
#include "harness/inputs.h"
#include "harness/layer_inputs.h"
#include "harness/run_case.h"
#include "harness/select_options.h"

namespace attest {
namespace {

double bytes_of(const TensorSet& tensors) {
  double bytes = 0;
  for (const Tensor& tensor : tensors) bytes += static_cast<double>(tensor.bytes().size());
  return bytes;
}

/// A case with its tensors, of core attention or of a whole layer.
struct BenchCase {
  explicit BenchCase(const Case& c)
      : which(c),
        inputs(is_layer() ? make_layer_inputs(c.problem) : make_inputs(c.problem)),
        outputs(is_layer() ? empty_layer_outputs(c.problem, inputs) : empty_outputs(c.problem)) {}

  bool is_layer() const { return which.problem.level == Level::layer; }

  BenchSubject subject() const {
    const Problem& p = which.problem;
    const LayerWork work =
        is_layer() ? layer_work(p) : LayerWork{p.flops(), bytes_of(inputs) + bytes_of(outputs)};
    return {print(which), which.run.kernel, which.run.backend, work.flops, work.bytes};
  }

  const Case& which;
  TensorSet inputs, outputs;
};

Json bench_emulated(BenchCase& c, const Kernel& kernel) {
  const Problem& p = c.which.problem;
  const auto run = [&] { kernel.run(p, c.which.run, c.inputs, c.outputs); };
  emulator::reset_statistics();
  run();
  const double mma = static_cast<double>(emulator::statistics().mma);
  Json row = row_of(c.subject(), device_name(Backend::emu), repeated_seconds("kernel", run));
  finish_emulated_row(row, mma, print(p));
  return row;
}

Json bench_on_gpu(BenchCase& c, const Kernel& kernel) {
  std::this_thread::sleep_for(kBenchRest);
  const LaunchTimes times =
      kernel.time(c.which.problem, c.which.run, c.inputs, c.outputs, kGpuBenchSeconds);
  for (const Tensor& out : c.outputs) require_written(out, print(c.which));
  Json row = row_of(c.subject(), device_name(Backend::gpu), times.cold);
  finish_gpu_row(row, times.warm, print(c.which.problem));
  return row;
}

/// The cases of a backend that the options keep, with the backend set.
std::vector<Case> cases_of(Backend backend, const BenchSelection& selected) {
  Selection selection;
  selection.sources = bench_problems(backend);
  selection.match = selected.match;
  std::vector<Case> cases = select(selection);
  for (Case& c : cases) c.run.backend = backend;
  return cases;
}

}  // namespace

std::size_t bench_kernels(const BenchSelection& selected, JsonRows& rows) {
  std::vector<Case> cases;
  for (const Backend backend : selected.backends)
    for (const Case& c : cases_of(backend, selected)) cases.push_back(c);
  for (const Case& c : cases) {
    const Kernel& kernel = find_kernel(c.run.kernel, c.run.backend);
    BenchCase tensors(c);
    rows.write(c.run.backend == Backend::emu ? bench_emulated(tensors, kernel)
                                             : bench_on_gpu(tensors, kernel));
  }
  return cases.size();
}

}  // namespace attest
