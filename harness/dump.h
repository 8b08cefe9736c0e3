#pragma once

#include <filesystem>

#include "harness/run_case.h"

namespace attest {

/// Writes a failing case as `<failures>/<case id>-<kernel>.h5`: a golden with the groups inputs,
/// outputs (want), conditioning, got and bound, and the attribute `run`, which replays it.
/// Returns the path. Creates the folder. Throws InfraError when the disk refuses.
std::filesystem::path write_dump(const std::filesystem::path& failures, const Case&,
                                 const Question&, const Descriptor&, const TensorSet& got);

/// A dumped case: what was asked, with the inputs of the file, and how it was run. The truth is
/// computed again from those inputs. Throws InfraError for a file that is no dump.
struct Replay {
  Case which;
  Question question;
};
Replay read_dump(const std::filesystem::path&);

}  // namespace attest
