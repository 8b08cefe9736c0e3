#include "golden/chunks.h"

#include "tests/golden/files.h"

using namespace golden_test;
using golden::ChunkGrid;

namespace {

// The bytes that HDF5's own filters store for a tensor of one chunk.
std::vector<std::byte> stored_by_hdf5(const fs::path& path, const Tensor& tensor) {
  hdf5::prepare();
  const std::vector<hsize_t> extents(tensor.shape().begin(), tensor.shape().end());
  const int rank = static_cast<int>(extents.size());
  const hdf5::Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT),
                          H5Fclose, "H5Fcreate");
  const hdf5::Handle list = hdf5::property_list(H5P_DATASET_CREATE);
  H5Pset_chunk(list, rank, extents.data());
  H5Pset_shuffle(list);
  H5Pset_deflate(list, golden::kDeflateLevel);
  H5Pset_fletcher32(list);
  const hdf5::Handle type = hdf5::file_type(tensor.dtype());
  const hdf5::Handle space(H5Screate_simple(rank, extents.data(), nullptr), H5Sclose, "space");
  const hdf5::Handle dataset(H5Dcreate2(file, "x", type, space, H5P_DEFAULT, list, H5P_DEFAULT),
                             H5Dclose, "H5Dcreate2");
  hdf5::check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.bytes().data()),
              "H5Dwrite");
  H5Dflush(dataset);
  const std::vector<hsize_t> offset(extents.size(), 0);
  hsize_t size = 0;
  hdf5::check(H5Dget_chunk_storage_size(dataset, offset.data(), &size), "size");
  std::vector<std::byte> bytes(size);
  std::uint32_t skipped = 0;
  hdf5::check(H5Dread_chunk(dataset, H5P_DEFAULT, offset.data(), &skipped, bytes.data()), "read");
  REQUIRE(skipped == 0);
  return bytes;
}

}  // namespace

TEST_CASE("a chunk is encoded to the bytes that HDF5's own filters give") {
  const Folder folder;
  const auto elements = GENERATE(1, 7, 360, 1000, 65536);
  const auto dtype = GENERATE(Dtype::bf16, Dtype::fp32, Dtype::fp64);
  const Tensor tensor = counting("x", dtype, "S", {elements}, 12345, 0x9E3779B97F4A7C15);
  CAPTURE(elements, name(dtype));
  const auto stored = golden::encode_chunk(tensor.bytes(), tensor.bytes().size(), size_of(dtype));
  CHECK(stored == stored_by_hdf5(folder / "a.h5", tensor));
  std::vector<std::byte> back(tensor.bytes().size());
  golden::decode_chunk(stored, {}, back.size(), size_of(dtype), back);
  CHECK(std::equal(back.begin(), back.end(), tensor.bytes().begin()));
}

TEST_CASE("a chunk of which one bit flipped is refused") {
  const Tensor tensor = counting("x", Dtype::fp32, "S", {64}, 1, 0x9E3779B9);
  const auto stored = golden::encode_chunk(tensor.bytes(), 256, 4);
  std::vector<std::byte> back(256);
  for (std::size_t bit = 0; bit < 8 * stored.size(); ++bit) {
    auto flipped = stored;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    CHECK_THROWS_AS(golden::decode_chunk(flipped, {}, 256, 4, back), InfraError);
  }
}

TEST_CASE("a chunk cannot inflate beyond its size") {
  const std::vector<std::byte> zeros(1 << 20);
  const auto stored = golden::encode_chunk(zeros, zeros.size(), 4);
  CHECK(stored.size() < 5000);
  std::vector<std::byte> back(256);
  CHECK(refuses([&] { golden::decode_chunk(stored, {}, 256, 4, back); },
                "must hold chunks that inflate to 256 bytes"));
}

TEST_CASE("chunks hold 256 KiB to 1 MiB of a large tensor, and all of a small one") {
  CHECK(golden::chunk_shape({2, 3, 4}, 8) == std::vector<Index>{2, 3, 4});
  CHECK(golden::chunk_shape({1, 4096, 8, 128}, 2) == std::vector<Index>{1, 512, 8, 128});
  CHECK(golden::chunk_shape({4, 513, 8, 128}, 2) == std::vector<Index>{1, 257, 8, 128});
  CHECK(golden::chunk_shape({8, 100000}, 8) == std::vector<Index>{1, 100000});
  CHECK(golden::chunk_shape({2, 400000}, 8) == std::vector<Index>{1, 100000});
}

TEST_CASE("the runs of a grid cover every element once, in chunks of one shape") {
  const std::vector<Index> shape = {2, 3, 7, 5};
  const auto [chunk, count] = GENERATE(table<std::vector<Index>, Index>(
      {{{1, 1, 3, 5}, 18}, {{1, 1, 1, 2}, 126}, {{1, 2, 7, 5}, 4}, {{2, 3, 7, 5}, 1}}));
  const ChunkGrid grid = golden::make_grid(shape, chunk);
  REQUIRE(grid.size == count);
  std::vector<int> covered(2 * 3 * 7 * 5);
  for (Index n = 0; n < grid.size; ++n) {
    const ChunkGrid::Run run = grid.run(n);
    Index first = 0;
    for (std::size_t a = 0; a < 4; ++a) {
      REQUIRE(run.offset[a] % chunk[a] == 0);
      first = first * shape[a] + run.offset[a];
    }
    CHECK(run.first == first);
    for (Index e = 0; e < run.count; ++e) ++covered.at(static_cast<std::size_t>(run.first + e));
  }
  CHECK(std::count(covered.begin(), covered.end(), 1) == 2 * 3 * 7 * 5);
}

TEST_CASE("chunks that are no runs of elements are refused") {
  CHECK(refuses([&] { golden::make_grid({2, 3, 4}, {2, 3, 2}); }, "leading axes only"));
  CHECK(refuses([&] { golden::make_grid({2, 3}, {3, 3}); }, "no wider than they are"));
}
