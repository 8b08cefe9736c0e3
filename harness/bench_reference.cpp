#include <fmt/format.h>
#include <omp.h>

#include "harness/bench.h"
#include "harness/inputs.h"
#include "reference/reference.h"

namespace attest {

void bench_reference() {
  const Problem problem = parse_problem("mha B=1 Sq=2048 Sk=2048 H=4 D=128 dtype=bf16 seed=1");
  const TensorSet inputs = make_inputs(problem);
  const int threads = omp_get_max_threads();
  const auto seconds = [&](const char* name, reference::Emit emit) {
    return median_seconds(name, [&] { reference::attend(problem, inputs, emit); });
  };
  const double peak_before = reference::fma_peak_flops(threads);
  const double plain = seconds("reference", reference::Emit::outputs);
  const double full =
      seconds("reference with conditioning", reference::Emit::outputs_and_conditioning);
  const double peak = std::max(peak_before, reference::fma_peak_flops(threads));
  const double flops = problem.flops() / plain;

  print_row("FMA peak, fp64", fmt::format("{:.1f} GF/s", peak * 1e-9),
            fmt::format("{} threads, {}", threads, reference::instruction_set()));
  print_row("reference, o and lse", fmt::format("{:.1f} GF/s", flops * 1e-9),
            fmt::format("{:.0f} % of the FMA peak ({})", 100 * flops / peak, print(problem)));
  print_row("reference with conditioning", fmt::format("{:.2f} x", full / plain),
            "of the time without");
}

}  // namespace attest
