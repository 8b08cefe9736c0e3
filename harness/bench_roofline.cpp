#include "harness/bench_roofline.h"

namespace attest {
namespace {

struct KnownGpu {
  const char* name;
  double flops, bytes;
};

// NVIDIA's data sheets: dense bf16 and memory bandwidth of the SXM parts.
constexpr KnownGpu kKnown[] = {{"NVIDIA H200", 989e12, 4.8e12},
                               {"NVIDIA H100 80GB HBM3", 989e12, 3.35e12}};

/// Dense 16-bit tensor-core FLOP of one multiprocessor in one cycle; 0 where products differ.
double flops_a_cycle(int compute_capability) {
  switch (compute_capability) {
    case 80:
      return 2048;
    case 90:
      return 4096;
    default:
      return 0;
  }
}

}  // namespace

Peaks peaks_of(const DeviceInfo& gpu) {
  for (const KnownGpu& known : kKnown)
    if (gpu.name == known.name) return {known.flops, known.bytes, "data sheet"};
  Peaks peaks{.flops = flops_a_cycle(gpu.compute_capability) * gpu.multiprocessors * gpu.clock,
              .bytes = 2 * gpu.memory_clock * gpu.memory_bus_bits / 8,
              .source = {}};
  if (peaks.flops > 0 || peaks.bytes > 0) peaks.source = "computed from clocks";
  return peaks;
}

Roofline roofline(const Peaks& peaks, double flops, double bytes, double seconds) {
  if (!(peaks.flops > 0 && peaks.bytes > 0)) return {};
  const double compute = flops / peaks.flops, memory = bytes / peaks.bytes;
  return compute > memory ? Roofline{"compute", compute / seconds}
                          : Roofline{"memory", memory / seconds};
}

}  // namespace attest
