// What the benchmarks rest on: peaks, rooflines, the problems, and launches that are timed.
#include "harness/bench.h"

#include <algorithm>
#include <set>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "harness/bench_problems.h"
#include "harness/bench_roofline.h"
#include "harness/bench_rows.h"
#include "harness/inputs.h"
#include "harness/layer_inputs.h"
#include "harness/run_case.h"
#include "tests/catch.h"

using namespace attest;

namespace {

DeviceInfo gpu(const char* name, int compute_capability) {
  return {.name = name,
          .compute_capability = compute_capability,
          .multiprocessors = 100,
          .clock = 1.5e9,
          .memory_clock = 1e9,
          .memory_bus_bits = 4096};
}

}  // namespace

TEST_CASE("peaks are the data sheet's where the GPU is known by its full name") {
  const Peaks h200 = peaks_of(gpu("NVIDIA H200", 90));
  CHECK(h200.flops == 989e12);
  CHECK(h200.bytes == 4.8e12);
  CHECK(h200.source == "data sheet");
  CHECK(peaks_of(gpu("NVIDIA H100 80GB HBM3", 90)).bytes == 3.35e12);
  CHECK(peaks_of(gpu("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 90)).source == "computed from clocks");
}

TEST_CASE("peaks of another GPU come from what the driver says, or are left out") {
  const Peaks hopper = peaks_of(gpu("another Hopper", 90));
  CHECK(hopper.flops == Approx(100 * 1.5e9 * 4096));
  CHECK(hopper.bytes == Approx(2 * 1e9 * 4096 / 8));
  CHECK(peaks_of(gpu("an Ampere", 80)).flops == Approx(100 * 1.5e9 * 2048));
  CHECK(peaks_of(gpu("unknown", 86)).flops == 0);
  CHECK(peaks_of(gpu("unknown", 86)).bytes > 0);
  DeviceInfo silent = gpu("silent", 90);
  silent.clock = silent.memory_clock = 0;
  CHECK(peaks_of(silent).flops == 0);
  CHECK(peaks_of(silent).source.empty());
}

TEST_CASE("the roof is the one that allows less, and its fraction is least over measured time") {
  const Peaks peaks{.flops = 100, .bytes = 10, .source = "test"};
  const Roofline compute = roofline(peaks, 1000, 50, 20);  // 10 s of compute, 5 s of memory
  CHECK(compute.roof == "compute");
  CHECK(compute.fraction == Approx(0.5));
  const Roofline memory = roofline(peaks, 100, 50, 20);  // 1 s and 5 s
  CHECK(memory.roof == "memory");
  CHECK(memory.fraction == Approx(0.25));
  CHECK(roofline({.flops = 0, .bytes = 10, .source = ""}, 1, 1, 1).roof.empty());
}

TEST_CASE("every benchmark problem is valid, there once, and run by its kernel") {
  const Backend backend = GENERATE(Backend::emu, Backend::gpu);
  std::set<std::string> seen;
  for (const std::string& text : bench_problems(backend)) {
    CAPTURE(text);
    const Case c = parse_case(text);
    CHECK(find_kernel(c.run.kernel, Backend::emu).supports(c.problem).empty());
    CHECK(seen.insert(print(c)).second);
  }
  CHECK(!seen.empty());
}

TEST_CASE("timed launches leave the outputs of a run and take time") {
  const std::string text = GENERATE("gqa B=1 Sq=20 Sk=70 H=4 G=2 D=64 dtype=bf16 | kernel=prefill",
                                    "mqa B=1 Sq=1 Sk=300 H=4 D=64 dtype=fp16 | kernel=decode");
  CAPTURE(text);
  const Case c = parse_case(text);
  const Kernel& kernel = find_kernel(c.run.kernel, Backend::emu);
  const TensorSet inputs = make_inputs(c.problem);
  TensorSet once = empty_outputs(c.problem), timed = empty_outputs(c.problem);
  kernel.run(c.problem, c.run, inputs, once);
  const LaunchTimes times = kernel.time(c.problem, c.run, inputs, timed, 0);
  CHECK(once.at("o").sha256() == timed.at("o").sha256());
  CHECK(once.at("lse").sha256() == timed.at("lse").sha256());
  for (const std::vector<double>& seconds : {times.cold, times.warm}) {
    CHECK(seconds.size() == 5);
    CHECK(std::all_of(seconds.begin(), seconds.end(), [](double s) { return s > 0 && s < 60; }));
  }
}

TEST_CASE("timed layers leave the outputs of a run, their caches too") {
  const std::string text = GENERATE(
      "gqa B=2 Sq=1 Sk=33 H=4 G=2 D=24 dtype=bf16 level=layer E=40 rope=default | kernel=layer",
      "mla B=1 Sq=9 Sk=20 H=2 G=2 D=24 Dv=40 dtype=fp16 level=layer E=72 L=48 form=absorbed Dr=8 "
      "mask=causal | kernel=layer");
  CAPTURE(text);
  const Case c = parse_case(text);
  const Kernel& kernel = find_kernel("layer", Backend::emu);
  const TensorSet inputs = make_layer_inputs(c.problem);
  TensorSet once = empty_layer_outputs(c.problem, inputs);
  TensorSet timed = empty_layer_outputs(c.problem, inputs);
  kernel.run(c.problem, c.run, inputs, once);
  const LaunchTimes times = kernel.time(c.problem, c.run, inputs, timed, 0);
  for (const Tensor& tensor : once) {
    CAPTURE(tensor.name());
    CHECK(tensor.sha256() == timed.at(tensor.name()).sha256());
  }
  CHECK(times.cold.size() == 5);
}

TEST_CASE("every product that is timed is one that the kernel takes, there once") {
  const Backend backend = GENERATE(Backend::emu, Backend::gpu);
  std::set<std::string> seen;
  for (const GemmShape& shape : gemm_shapes(backend)) {
    CAPTURE(print(shape));
    CHECK(shape.M > 0);
    CHECK((shape.N > 0 && shape.N % 8 == 0));
    CHECK((shape.K > 0 && shape.K % 8 == 0));
    CHECK(seen.insert(print(shape)).second);
  }
  CHECK(!seen.empty());
}

TEST_CASE("an output that somebody left out is no output to time") {
  Tensor out("c", Dtype::bf16, "MN", {3, 5});
  for (std::uint16_t& bits : out.as<std::uint16_t>()) bits = 0;
  CHECK_NOTHROW(require_written(out, "a case"));
  out.as<std::uint16_t>().back() = 0xffff;
  CHECK_THROWS_WITH(require_written(out, "a case"),
                    Catch::Contains("bench: c must be finite, got ") &&
                        Catch::Contains("at element 14 of a case"));
}

TEST_CASE("a longer budget buys more launches, up to a limit") {
  const Case c = parse_case("mha B=1 Sq=1 Sk=1 H=1 D=8 dtype=bf16 | kernel=decode");
  const TensorSet inputs = make_inputs(c.problem);
  TensorSet outputs = empty_outputs(c.problem);
  const LaunchTimes times =
      find_kernel("decode", Backend::emu).time(c.problem, c.run, inputs, outputs, 0.1);
  CHECK(times.cold.size() > 5);
  CHECK(times.cold.size() <= 1000);
  CHECK(times.warm.size() == times.cold.size());
}

TEST_CASE("the median is the middle value, of an even number the upper one") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 3, 2}) == 3);
  CHECK(median({7}) == 7);
}
