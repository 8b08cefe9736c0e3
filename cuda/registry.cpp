#include <vector>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/simt/emulator.h"

namespace attest {

// cuda/kernels/<name>.cu defines each of them, once a build.
#define ATTEST_KERNEL(name) \
  namespace emu {           \
  Kernel name();            \
  }                         \
  namespace gpu {           \
  Kernel name();            \
  }
#include "cases/variants.def"

// cuda/kernels/device.cu, likewise.
namespace emu {
std::string device_name();
DeviceInfo device_info();
}  // namespace emu
namespace gpu {
std::string device_name();
DeviceInfo device_info();
}  // namespace gpu

namespace {

/// The emulator has one schedule for all launches; a run asks for its own.
template <Kernel (*kernel)()>
void run_emulated(const Problem& problem, const RunConfig& config, const TensorSet& inputs,
                  TensorSet& outputs) {
  emulator::set_schedule(config.schedule);
  kernel().run(problem, config, inputs, outputs);
}

template <Kernel (*kernel)()>
LaunchTimes time_emulated(const Problem& problem, const RunConfig& config, const TensorSet& inputs,
                          TensorSet& outputs, double seconds) {
  emulator::set_schedule(config.schedule);
  return kernel().time(problem, config, inputs, outputs, seconds);
}

template <Kernel (*kernel)()>
Kernel emulated() {
  Kernel result = kernel();
  result.run = run_emulated<kernel>;
  result.time = time_emulated<kernel>;
  return result;
}

}  // namespace

std::span<const Kernel> kernels() {
  static const std::vector<Kernel> all = {
#define ATTEST_KERNEL(name) emulated<emu::name>(),
#include "cases/variants.def"
#ifdef ATTEST_HAS_GPU
#define ATTEST_KERNEL(name) gpu::name(),
#include "cases/variants.def"
#endif
  };
  return all;
}

const Kernel& find_kernel(std::string_view name, Backend backend) {
  std::string known;
  for (const Kernel& kernel : kernels()) {
    if (kernel.name == name && kernel.backend == backend) return kernel;
    known += concat(' ', kernel.name, '/', attest::name(kernel.backend));
  }
  throw Error(concat("kernel: must be one of", known, ", got ", name, '/', attest::name(backend)));
}

std::string device_name(Backend backend) {
#ifdef ATTEST_HAS_GPU
  if (backend == Backend::gpu) return gpu::device_name();
#endif
  return backend == Backend::emu ? emu::device_name() : std::string();
}

DeviceInfo device_info(Backend backend) {
#ifdef ATTEST_HAS_GPU
  if (backend == Backend::gpu) return gpu::device_info();
#endif
  return backend == Backend::emu ? emu::device_info() : DeviceInfo{};
}

bool has_gpu_build() {
#ifdef ATTEST_HAS_GPU
  return true;
#else
  return false;
#endif
}

}  // namespace attest
