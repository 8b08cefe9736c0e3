#include "cases/error.h"
#include "tests/catch.h"
#include "tests/cuda/kernels_support.h"

// The GPU build of the kernels, as far as this machine lets it run.

using namespace attest;

TEST_CASE("the registry holds every kernel once a build", "[kernels]") {
  for (const char* name : {"prefill", "decode", "mla_decode", "ffma", "layer"}) {
    CHECK(find_kernel(name, Backend::emu).name == name);
    CHECK(find_kernel(name, Backend::emu).backend == Backend::emu);
    if (has_gpu_build())
      CHECK(find_kernel(name, Backend::gpu).backend == Backend::gpu);
    else
      CHECK_THROWS_AS(find_kernel(name, Backend::gpu), Error);
  }
  CHECK(kernels().size() == (has_gpu_build() ? 10u : 5u));
  CHECK(device_name(Backend::emu) == "emulated");
  CHECK_THROWS_AS(find_kernel("naive", Backend::emu), Error);
}

TEST_CASE("without a GPU, a GPU kernel fails as infrastructure", "[kernels][gpu]") {
  if (!has_gpu_build() || !device_name(Backend::gpu).empty()) {
    WARN("not run: needs a GPU build on a machine without a GPU");
    return;
  }
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16");
  CHECK_THROWS_AS(test::run(find_kernel("decode", Backend::gpu), p, test::noise_inputs(p)),
                  InfraError);
}

TEST_CASE("GPU kernels agree with a double loop and with themselves", "[kernels][gpu]") {
  if (device_name(Backend::gpu).empty()) {
    WARN("not run: no GPU");
    return;
  }
  const auto* kernel = GENERATE("prefill", "decode");
  const auto* text = GENERATE("gqa B=2 Sq=9 Sk=333 H=14 G=2 D=64 dtype=bf16 mask=causal",
                              "mha B=1 Sq=129 Sk=80 H=2 D=128 dtype=fp16 mask=causal",
                              "mqa B=1 Sq=20 Sk=90 H=4 D=192 Dv=128 dtype=bf16",
                              "mqa B=1 Sq=1 Sk=5000 H=8 D=72 Dv=40 dtype=fp16");
  CAPTURE(kernel, text);
  const Problem p = parse_problem(text);
  const TensorSet inputs = test::noise_inputs(p);
  const TensorSet outputs = test::run(find_kernel(kernel, Backend::gpu), p, inputs, 3);
  const test::Errors worst = test::errors(p, outputs, test::expected(p, inputs));
  CHECK(worst.o <= 1.05);
  CHECK(worst.lse <= 20);
  CHECK(test::same_bits(outputs, test::run(find_kernel(kernel, Backend::gpu), p, inputs, 3)));
}
