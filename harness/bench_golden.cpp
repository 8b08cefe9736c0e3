#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cases/error.h"
#include "golden/golden_file.h"
#include "harness/bench.h"
#include "harness/provenance.h"
#include "harness/run_case.h"
#include "harness/selection.h"

namespace attest {
namespace {

namespace fs = std::filesystem;

/// A folder that goes with its owner.
struct ScratchFolder {
  fs::path path = fs::temp_directory_path() / concat("attest-bench-", getpid());
  ScratchFolder() { fs::create_directories(path); }
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

/// The Python that the build was configured with, else the one on PATH.
const char* python() { return access(ATTEST_PYTHON, X_OK) == 0 ? ATTEST_PYTHON : "python3"; }

/// Seconds that h5py takes to write the arrays of `golden` again with the same filters, as the
/// median of five runs; 0 where Python or h5py is missing.
double h5py_seconds(const fs::path& golden) {
  const std::string command = concat("'", python(), "' '", home(),
                                     "/golden/python/write_speed.py' '", golden.string(), "' 2>&1");
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return 0;
  double seconds = 0;
  const int read = std::fscanf(pipe, "%lf", &seconds);
  return pclose(pipe) == 0 && read == 1 ? seconds : 0;
}

}  // namespace

void bench_golden() {
  const ScratchFolder folder;
  const Problem problem = parse_problem("mha B=1 Sq=1024 Sk=64 H=16 D=128 dtype=bf16 seed=1");
  const Question question = pose(problem);
  const StoredCase stored{.problem = problem,
                          .tier = "full",
                          .groups = {{"inputs", question.inputs},
                                     {"outputs", question.truth.outputs},
                                     {"conditioning", question.truth.conditioning}},
                          .attributes = {}};
  double bytes = 0;
  for (const auto& [group, tensors] : stored.groups)
    for (const Tensor& tensor : tensors) bytes += static_cast<double>(tensor.bytes().size());

  const fs::path path = folder.path / "bench.h5";
  const double seconds = median_seconds("golden", [&] {
    GoldenWriter writer(path, provenance("attest bench"));
    writer.add(stored);
    writer.publish();
  });
  print_row("golden generation", fmt::format("{:.0f} MB/s", bytes / seconds * 1e-6),
            fmt::format("{:.0f} MiB, written, synced, read back and verified", bytes / (1 << 20)));
  const double h5py = h5py_seconds(path);
  if (h5py > 0)
    print_row("golden generation against h5py", fmt::format("{:.2f} x", seconds / h5py),
              "of the time h5py takes to write the same arrays with the same filters");
  else
    print_row("golden generation against h5py", "skipped",
              concat(python(), " with h5py was not found"));
}

}  // namespace attest
