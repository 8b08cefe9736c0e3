#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <thread>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "golden/golden_file.h"
#include "harness/commands.h"
#include "harness/selection.h"
#include "harness/summary.h"
#include "harness/version.h"
#include "reference/reference.h"

namespace attest {
namespace {

std::string cpu_model() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

void row(std::string_view label, const std::string& value) {
  std::cout << label << std::string(14 - label.size(), ' ') << value << '\n';
}

std::string kernel_names(Backend backend) {
  std::string names;
  for (const Kernel& kernel : kernels())
    if (kernel.backend == backend) names += concat(names.empty() ? "" : ", ", kernel.name);
  return names.empty() ? "none" : names;
}

void report() {
  row("attest", concat(version(), ' ', commit()));
  row("built with", std::string(toolchain()));
  row("libraries", concat("HDF5 ", hdf5_version(), ", Eigen ", reference::eigen_version()));
  row("CPU", concat(cpu_model(), ", ", std::thread::hardware_concurrency(), " threads, reference ",
                    "for ", reference::instruction_set()));
  const double bytes =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  row("memory", concat(static_cast<long>(bytes / (1 << 30)), " GiB"));
  const std::string gpu = device_name(Backend::gpu);
  row("GPU", !gpu.empty()      ? gpu
             : has_gpu_build() ? "none at hand (the kernels are compiled for it)"
                               : "not built in (no CUDA toolkit when this was compiled)");
  row("lane emu", "can run: " + kernel_names(Backend::emu));
  row("lane gpu", gpu.empty() ? "cannot run here" : "can run: " + kernel_names(Backend::gpu));
  row("cases", home() + "/ci/gate.list");
}

}  // namespace

void add_doctor(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("doctor", "Say what this machine has and can run");
  command->callback([&exit_code] {
    report();
    exit_code = kPassed;
  });
}

}  // namespace attest
