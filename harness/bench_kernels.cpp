#include <fmt/format.h>

#include <array>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/simt/emulator.h"
#include "cuda/simt/probe.h"
#include "harness/bench.h"
#include "harness/inputs.h"
#include "harness/run_case.h"
#include "harness/select_options.h"

namespace attest {
namespace {

/// Shapes that a person who knows attention kernels would ask for, at the size each backend bears.
std::vector<std::string> shapes(Backend backend) {
  if (backend == Backend::emu)
    return {"gqa B=1 Sq=512 Sk=512 H=8 G=2 D=128 dtype=bf16 mask=causal | kernel=prefill",
            "gqa B=1 Sq=1024 Sk=1024 H=8 G=2 D=128 dtype=bf16 mask=causal | kernel=prefill",
            "gqa B=2 Sq=1 Sk=512 H=16 G=4 D=128 dtype=bf16 | kernel=decode splits=4"};
  return {"mha B=1 Sq=8192 Sk=8192 H=32 D=128 dtype=bf16 | kernel=prefill",
          "gqa B=1 Sq=8192 Sk=8192 H=64 G=8 D=128 dtype=bf16 mask=causal | kernel=prefill",
          "gqa B=1 Sq=8192 Sk=8192 H=64 G=8 D=64 dtype=bf16 mask=causal | kernel=prefill",
          "mha B=1 Sq=4096 Sk=4096 H=128 D=192 Dv=128 dtype=bf16 mask=causal | kernel=prefill",
          "mha B=16 Sq=1 Sk=8192 H=32 D=128 dtype=bf16 | kernel=decode",
          "gqa B=64 Sq=1 Sk=8192 H=64 G=8 D=128 dtype=bf16 | kernel=decode",
          "mqa B=128 Sq=1 Sk=8192 H=64 D=128 dtype=bf16 | kernel=decode"};
}

void bench_emulated(const Case& which, const Kernel& kernel) {
  const TensorSet inputs = make_inputs(which.problem);
  TensorSet outputs = empty_outputs(which.problem);
  emulator::reset_statistics();
  kernel.run(which.problem, which.run, inputs, outputs);
  const double mma = static_cast<double>(emulator::statistics().mma);
  const double seconds =
      median_seconds("kernel", [&] { kernel.run(which.problem, which.run, inputs, outputs); });
  print_row(fmt::format("{} emulated", kernel.name), fmt::format("{:.0f} ms", seconds * 1e3),
            fmt::format("{:.0f} ns a mma, {:.2f} x the mma probe  ({})", seconds / mma * 1e9,
                        seconds / (mma * mma_probe_seconds()), print(which.problem)));
}

}  // namespace

void bench_kernels(const std::string& backends) {
  for (const std::string& word : split_commas(backends)) {
    const Backend backend = parse_backend(word);
    if (device_name(backend).empty())
      throw InfraError("bench: backend gpu needs a GPU, found none; run attest doctor");
    for (const std::string& text : shapes(backend)) {
      Case which = parse_case(text);
      which.run.backend = backend;
      bench_emulated(which, find_kernel(which.run.kernel, backend));
    }
  }
}

}  // namespace attest
