#include "golden/chunks.h"

#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <future>
#include <thread>

#include "cases/error.h"

namespace attest::golden {
namespace {

constexpr Index kMaxChunkBytes = 1 << 20;
constexpr std::size_t kChecksumBytes = 4;

using Bytes = std::vector<std::byte>;

// Byte b of element n moves to b * count + n.
void shuffle(std::span<const std::byte> in, std::size_t element_size, std::byte* out) {
  const std::size_t count = in.size() / element_size;
  for (std::size_t b = 0; b < element_size; ++b)
    for (std::size_t n = 0; n < count; ++n) out[b * count + n] = in[n * element_size + b];
}

// The inverse, for the first `out.size()` bytes.
void unshuffle(std::span<const std::byte> in, std::size_t element_size, std::span<std::byte> out) {
  const std::size_t count = in.size() / element_size, wanted = out.size() / element_size;
  for (std::size_t b = 0; b < element_size; ++b)
    for (std::size_t n = 0; n < wanted; ++n) out[n * element_size + b] = in[b * count + n];
}

// Fletcher's checksum over big-endian 16-bit words, with sums modulo 65535 (J. G. Fletcher, IEEE
// Trans. Commun. 30 (1982) 247); 360 words never overflow 32 bits.
std::uint32_t fletcher32(std::span<const std::byte> bytes) {
  const auto fold = [](std::uint32_t sum) { return (sum & 0xFFFF) + (sum >> 16); };
  const auto word = [&](std::size_t n) {
    const auto high = std::to_integer<std::uint32_t>(bytes[2 * n]) << 8;
    return 2 * n + 1 < bytes.size() ? high | std::to_integer<std::uint32_t>(bytes[2 * n + 1])
                                    : high;
  };
  std::uint32_t sum1 = 0, sum2 = 0;
  const std::size_t words = (bytes.size() + 1) / 2;
  for (std::size_t n = 0; n < words;) {
    for (const std::size_t end = std::min(words, n + 360); n < end; ++n) {
      sum1 += word(n);
      sum2 += sum1;
    }
    sum1 = fold(sum1);
    sum2 = fold(sum2);
  }
  return fold(sum2) << 16 | fold(sum1);
}

const Bytef* zlib_bytes(const std::byte* bytes) { return reinterpret_cast<const Bytef*>(bytes); }
Bytef* zlib_bytes(std::byte* bytes) { return reinterpret_cast<Bytef*>(bytes); }

std::span<const std::byte> strip_checksum(std::span<const std::byte> stored) {
  if (stored.size() < kChecksumBytes)
    throw InfraError(concat("must hold chunks with a checksum, got one of ", stored.size(),
                            " bytes; make the file again"));
  const auto body = stored.first(stored.size() - kChecksumBytes);
  std::uint32_t checksum;
  std::memcpy(&checksum, stored.data() + body.size(), kChecksumBytes);
  if (checksum != fletcher32(body))
    throw InfraError(
        "must hold chunks that match their fletcher32 checksum, got another one; make "
        "the file again");
  return body;
}

// A buffer that a thread keeps: clearing a new one for every chunk costs 5% of writing.
enum class Use { shuffled, packed };
std::span<std::byte> scratch(Use use, std::size_t size) {
  thread_local Bytes buffers[2];
  Bytes& buffer = buffers[static_cast<int>(use)];
  if (buffer.size() < size) buffer.resize(size);
  return std::span(buffer).first(size);
}

std::span<const std::byte> inflate_exactly(std::span<const std::byte> packed, std::size_t size) {
  const auto out = scratch(Use::shuffled, size);
  uLongf out_size = size;
  const int status =
      uncompress(zlib_bytes(out.data()), &out_size, zlib_bytes(packed.data()), packed.size());
  if (status != Z_OK || out_size != size)
    throw InfraError(concat("must hold chunks that inflate to ", size, " bytes, got zlib status ",
                            status, " after ", out_size, " bytes; make the file again"));
  return out;
}

}  // namespace

ChunkGrid::Run ChunkGrid::run(Index n) const {
  const Index blocks = (shape[axis] + chunk[axis] - 1) / chunk[axis];
  const Index block = n % blocks, start = block * chunk[axis];
  Index outer = n / blocks;
  const Index inner = chunk_elements / chunk[axis];  // elements behind the axis
  Run run{std::vector<Index>(shape.size(), 0), (outer * shape[axis] + start) * inner,
          std::min(chunk[axis], shape[axis] - start) * inner};
  run.offset[axis] = start;
  for (std::size_t a = axis; a-- > 0; outer /= shape[a]) run.offset[a] = outer % shape[a];
  return run;
}

ChunkGrid make_grid(const std::vector<Index>& shape, const std::vector<Index>& chunk) {
  ChunkGrid grid{shape, chunk};
  for (std::size_t a = 0; a < shape.size(); ++a) {
    if (chunk[a] < 1 || chunk[a] > shape[a])
      throw InfraError(concat("must cut tensors into chunks no wider than they are, got ", chunk[a],
                              " for an axis of ", shape[a]));
    if (chunk[a] != shape[a]) grid.axis = a;
    grid.chunk_elements *= chunk[a];
  }
  for (std::size_t a = 0; a < grid.axis; ++a) {
    if (chunk[a] != 1)
      throw InfraError(concat("must cut tensors along leading axes only, got chunks of ", chunk[a],
                              " before the last axis that is cut; rewrite it unchunked"));
    grid.size *= shape[a];
  }
  grid.size *= (shape[grid.axis] + chunk[grid.axis] - 1) / chunk[grid.axis];
  return grid;
}

std::vector<Index> chunk_shape(const std::vector<Index>& shape, std::size_t element_size) {
  std::vector<Index> chunk(shape.size(), 1);
  Index bytes = static_cast<Index>(element_size);
  for (std::size_t a = shape.size(); a-- > 0;) {
    const Index most = kMaxChunkBytes / bytes;  // at least 1: bytes never passes kMaxChunkBytes
    const Index parts = (shape[a] + most - 1) / most;
    chunk[a] = (shape[a] + parts - 1) / parts;
    bytes *= chunk[a];
    if (parts > 1) break;
  }
  return chunk;
}

std::vector<std::byte> encode_chunk(std::span<const std::byte> elements, std::size_t chunk_bytes,
                                    std::size_t element_size) {
  Bytes padded;
  if (elements.size() < chunk_bytes) {
    padded.assign(elements.begin(), elements.end());
    padded.resize(chunk_bytes);
    elements = padded;
  }
  const auto shuffled = scratch(Use::shuffled, chunk_bytes);
  shuffle(elements, element_size, shuffled.data());
  uLongf size = compressBound(chunk_bytes);
  const auto packed = scratch(Use::packed, size);
  if (compress2(zlib_bytes(packed.data()), &size, zlib_bytes(shuffled.data()), chunk_bytes,
                kDeflateLevel) != Z_OK)
    throw InfraError(concat("must be deflated, got an error from zlib for ", chunk_bytes,
                            " bytes; free some memory"));
  const auto body = packed.first(size);
  const std::uint32_t checksum = fletcher32(body);
  Bytes stored;
  stored.reserve(size + kChecksumBytes);
  stored.assign(body.begin(), body.end());
  const auto tail = std::as_bytes(std::span(&checksum, 1));
  stored.insert(stored.end(), tail.begin(), tail.end());
  return stored;
}

void decode_chunk(std::span<const std::byte> stored, const Filters& filters,
                  std::size_t chunk_bytes, std::size_t element_size,
                  std::span<std::byte> elements) {
  if (filters.fletcher32) stored = strip_checksum(stored);
  if (filters.deflate) stored = inflate_exactly(stored, chunk_bytes);
  if (stored.size() != chunk_bytes)
    throw InfraError(concat("must hold chunks of ", chunk_bytes, " bytes, got ", stored.size(),
                            "; make the file again"));
  if (filters.shuffle)
    unshuffle(stored, element_size, elements);
  else
    std::memcpy(elements.data(), stored.data(), elements.size());
}

std::size_t max_stored_bytes(std::size_t chunk_bytes) {
  return chunk_bytes + chunk_bytes / 8 + 64;  // zlib needs far less, some of its rivals do not
}

void parallel_for(Index count, const std::function<void(Index)>& task) {
  const Index threads = std::min<Index>({count, std::thread::hardware_concurrency(), 16});
  std::atomic<Index> next = 0;
  const auto work = [&] {
    for (Index n = next++; n < count; n = next++) task(n);
  };
  std::vector<std::future<void>> others;
  for (Index t = 1; t < threads; ++t) others.push_back(std::async(std::launch::async, work));
  work();
  for (auto& other : others) other.get();
}

}  // namespace attest::golden
