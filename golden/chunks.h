#pragma once

// How a tensor is cut into chunks, and what a chunk's bytes are: HDF5's shuffle, deflate and
// fletcher32 filters, done here so that threads share the work and no chunk can expand beyond its
// size. The bytes are those that HDF5 itself would write. No HDF5 in this file.

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "cases/dtype.h"

namespace attest::golden {

constexpr int kDeflateLevel = 4;

/// Which of HDF5's filters a dataset uses; they apply in this order when writing.
struct Filters {
  bool shuffle = true;
  bool deflate = true;
  bool fletcher32 = true;
};

/// A tensor cut along its leading axes, so that every chunk is one run of elements.
struct ChunkGrid {
  struct Run {
    std::vector<Index> offset;  ///< index of the first element
    Index first, count;         ///< in row-major order; count falls short at the edge
  };

  std::vector<Index> shape, chunk;
  std::size_t axis = 0;  ///< the one that is cut: chunk is 1 before it and whole behind it
  Index chunk_elements = 1, size = 1;  ///< size: number of chunks

  Run run(Index n) const;
};

/// Throws InfraError unless chunks of this shape are runs of elements.
ChunkGrid make_grid(const std::vector<Index>& shape, const std::vector<Index>& chunk);

/// Chunk shape of a tensor without zero extents: the whole tensor up to 1 MiB, else equal parts of
/// 256 KiB to 1 MiB (of one axis; smaller only if that axis is short).
std::vector<Index> chunk_shape(const std::vector<Index>& shape, std::size_t element_size);

/// What is stored for a chunk with these elements; missing ones at the edge count as zero bytes.
std::vector<std::byte> encode_chunk(std::span<const std::byte> elements, std::size_t chunk_bytes,
                                    std::size_t element_size);

/// Inverse of encode_chunk(). Throws InfraError for a wrong checksum or size.
void decode_chunk(std::span<const std::byte> stored, const Filters& filters,
                  std::size_t chunk_bytes, std::size_t element_size, std::span<std::byte> elements);

/// An upper bound for the stored size of a chunk; more is not believed.
std::size_t max_stored_bytes(std::size_t chunk_bytes);

/// Runs task(0) .. task(count - 1) on all cores. Rethrows what a task threw.
void parallel_for(Index count, const std::function<void(Index)>& task);

}  // namespace attest::golden
