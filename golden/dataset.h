#pragma once

// One tensor in HDF5: created, written, inspected and read. Included by golden/*.cpp only.

#include <optional>

#include "golden/chunks.h"
#include "golden/hdf5.h"
#include "golden/layout.h"

namespace attest::golden {

/// Writes the tensor into a group; only shape, dtype and hash unless `stored`.
void write_dataset(hid_t group, const Tensor& tensor, const Digest& digest);

/// A dataset that was checked and may be read.
struct Inspected {
  Digest digest;
  std::optional<ChunkGrid> grid;  ///< none: stored in one piece, or not at all
  Filters filters;
};

/// Checks type, layout, filters and the index of chunks, reads no element. Throws InfraError or
/// attest::Error with a text `must ..., got ...`; `bytes_left` is what the case may still need.
Inspected inspect_dataset(hid_t dataset, const std::string& group, const std::string& name,
                          std::uint64_t bytes_left);

/// The tensor, checked against its hash.
Tensor read_dataset(hid_t dataset, const Inspected& inspected);

}  // namespace attest::golden
