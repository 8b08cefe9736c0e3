#include "golden/dataset.h"

#include <algorithm>

#include "cases/error.h"

namespace attest::golden {
namespace {

using hdf5::check;
using hdf5::Handle;

Index window_of(const ChunkGrid& grid) {  // chunks that wait in memory while threads work on them
  return std::min<Index>(grid.size, 64);
}

std::vector<hsize_t> hdf5_sizes(const std::vector<Index>& sizes) {
  return {sizes.begin(), sizes.end()};
}

Handle creation_list(const std::vector<Index>& chunk) {
  Handle list = hdf5::timeless_property_list(H5P_DATASET_CREATE);
  if (chunk.empty()) return list;
  check(H5Pset_chunk(list, static_cast<int>(chunk.size()), hdf5_sizes(chunk).data()),
        "H5Pset_chunk");
  check(H5Pset_shuffle(list), "H5Pset_shuffle");
  check(H5Pset_deflate(list, kDeflateLevel), "H5Pset_deflate");
  check(H5Pset_fletcher32(list), "H5Pset_fletcher32");
  return list;
}

void write_chunks(hid_t dataset, const Tensor& tensor, const ChunkGrid& grid) {
  const std::size_t element = size_of(tensor.dtype());
  const std::size_t chunk_bytes = static_cast<std::size_t>(grid.chunk_elements) * element;
  std::vector<std::vector<std::byte>> stored(static_cast<std::size_t>(window_of(grid)));
  for (Index begin = 0; begin < grid.size; begin += window_of(grid)) {
    const Index count = std::min(window_of(grid), grid.size - begin);
    parallel_for(count, [&](Index n) {
      const ChunkGrid::Run run = grid.run(begin + n);
      stored[static_cast<std::size_t>(n)] =
          encode_chunk(tensor.bytes().subspan(static_cast<std::size_t>(run.first) * element,
                                              static_cast<std::size_t>(run.count) * element),
                       chunk_bytes, element);
    });
    for (Index n = 0; n < count; ++n) {
      const auto& bytes = stored[static_cast<std::size_t>(n)];
      check(H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, hdf5_sizes(grid.run(begin + n).offset).data(),
                           bytes.size(), bytes.data()),
            "H5Dwrite_chunk");
    }
  }
}

std::vector<Index> shape_of(hid_t space) {
  const int rank = check(H5Sget_simple_extent_ndims(space), "H5Sget_simple_extent_ndims");
  if (rank < 1 || rank > static_cast<int>(kMaxRank))
    throw InfraError(concat("must hold tensors of 1 to ", kMaxRank, " axes, got ", rank));
  std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
  check(H5Sget_simple_extent_dims(space, extents.data(), nullptr), "H5Sget_simple_extent_dims");
  std::vector<Index> shape;
  for (hsize_t extent : extents) {
    if (extent > hsize_t{1} << 48)
      throw InfraError(concat("must hold extents of at most 2^48, got ", extent));
    shape.push_back(static_cast<Index>(extent));
  }
  return shape;
}

Filters read_filters(hid_t list) {
  Filters filters{false, false, false};
  const int count = check(H5Pget_nfilters(list), "H5Pget_nfilters");
  int last = -1;  // shuffle 0, deflate 1, fletcher32 2: each at most once and in this order
  for (int n = 0; n < count; ++n) {
    unsigned flags = 0, config = 0, values[8] = {};
    std::size_t value_count = 8;
    const auto filter = check(H5Pget_filter2(list, static_cast<unsigned>(n), &flags, &value_count,
                                             values, 0, nullptr, &config),
                              "H5Pget_filter2");
    const int place = filter == H5Z_FILTER_SHUFFLE      ? 0
                      : filter == H5Z_FILTER_DEFLATE    ? 1
                      : filter == H5Z_FILTER_FLETCHER32 ? 2
                                                        : -1;
    if (place <= last)
      throw InfraError(
          concat("must use no filters but shuffle, deflate, fletcher32 in this order, "
                 "got HDF5 filter ",
                 filter, " in place ", n, "; rewrite it without"));
    last = place;
    (place == 0 ? filters.shuffle : place == 1 ? filters.deflate : filters.fletcher32) = true;
  }
  return filters;
}

H5D_layout_t check_storage(hid_t list) {
  const H5D_layout_t layout = check(H5Pget_layout(list), "H5Pget_layout");
  if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)
    throw InfraError("must hold its own elements, got a virtual dataset; do not trust this file");
  if (check(H5Pget_external_count(list), "H5Pget_external_count") > 0)
    throw InfraError("must hold its own elements, got external storage; do not trust this file");
  return layout;
}

hsize_t stored_bytes(hid_t dataset, const ChunkGrid& grid, Index n) {
  hsize_t bytes = 0;
  check(H5Dget_chunk_storage_size(dataset, hdf5_sizes(grid.run(n).offset).data(), &bytes),
        "H5Dget_chunk_storage_size");
  return bytes;
}

ChunkGrid inspect_chunks(hid_t dataset, hid_t list, const Digest& digest) {
  std::vector<hsize_t> extents(digest.shape.size());
  const int rank = static_cast<int>(extents.size());
  if (check(H5Pget_chunk(list, rank, extents.data()), "H5Pget_chunk") != rank)
    throw InfraError("must hold chunks of the tensor's rank, got another rank");
  const ChunkGrid grid = make_grid(digest.shape, {extents.begin(), extents.end()});
  const auto bytes = static_cast<std::size_t>(grid.chunk_elements) * size_of(digest.dtype);
  for (Index n = 0; n < grid.size; ++n) {
    const hsize_t stored = stored_bytes(dataset, grid, n);
    if (stored == 0 || stored > max_stored_bytes(bytes))
      throw InfraError(concat("must hold every chunk in 1 to ", max_stored_bytes(bytes),
                              " bytes, got ", stored, " for chunk ", n, " of ", digest.group, "/",
                              digest.name, "; make the file again"));
  }
  return grid;
}

void check_one_piece(hid_t dataset, const Digest& digest, std::uint64_t bytes) {
  const hsize_t stored = H5Dget_storage_size(dataset);
  if (stored != bytes)
    throw InfraError(concat("must hold ", bytes, " bytes of ", digest.group, "/", digest.name,
                            ", got ", stored, "; make the file again"));
}

/// The type of truth values has names for 0 and 1 alone, yet HDF5 stores any byte under it.
void check_truth_values(const Tensor& tensor) {
  if (tensor.dtype() != Dtype::boolean) return;
  const auto odd =
      std::ranges::find_if(tensor.bytes(), [](std::byte x) { return x > std::byte{1}; });
  ATTEST_CHECK(odd == tensor.bytes().end(), "must hold truth values as 0 or 1, got ",
               std::to_integer<int>(*odd), " in ", tensor.name(), "; make the file again");
}

void read_chunks(hid_t dataset, const Inspected& inspected, Tensor& tensor) {
  const ChunkGrid& grid = *inspected.grid;
  const std::size_t element = size_of(tensor.dtype());
  const std::size_t chunk_bytes = static_cast<std::size_t>(grid.chunk_elements) * element;
  std::vector<std::vector<std::byte>> stored(static_cast<std::size_t>(window_of(grid)));
  for (Index begin = 0; begin < grid.size; begin += window_of(grid)) {
    const Index count = std::min(window_of(grid), grid.size - begin);
    for (Index n = 0; n < count; ++n) {
      auto& bytes = stored[static_cast<std::size_t>(n)];
      bytes.resize(stored_bytes(dataset, grid, begin + n));
      std::uint32_t skipped = 0;
      check(H5Dread_chunk(dataset, H5P_DEFAULT, hdf5_sizes(grid.run(begin + n).offset).data(),
                          &skipped, bytes.data()),
            "H5Dread_chunk");
      if (skipped != 0)
        throw InfraError(concat("must filter every chunk alike, got one that skips filters (mask ",
                                skipped, "); make the file again"));
    }
    parallel_for(count, [&](Index n) {
      const ChunkGrid::Run run = grid.run(begin + n);
      decode_chunk(stored[static_cast<std::size_t>(n)], inspected.filters, chunk_bytes, element,
                   tensor.bytes().subspan(static_cast<std::size_t>(run.first) * element,
                                          static_cast<std::size_t>(run.count) * element));
    });
  }
}

}  // namespace

void write_dataset(hid_t group, const Tensor& tensor, const Digest& digest) {
  check_truth_values(tensor);
  const bool chunked = digest.stored && tensor.size() > 0;  // HDF5 cannot chunk an empty tensor
  const auto chunk =
      chunked ? chunk_shape(tensor.shape(), size_of(tensor.dtype())) : std::vector<Index>();
  const int rank = static_cast<int>(tensor.shape().size());
  const Handle space =
      digest.stored ? Handle(H5Screate_simple(rank, hdf5_sizes(tensor.shape()).data(), nullptr),
                             H5Sclose, "H5Screate_simple")
                    : Handle(H5Screate(H5S_NULL), H5Sclose, "H5Screate");
  const Handle type = hdf5::file_type(tensor.dtype()), list = creation_list(chunk);
  Handle dataset(
      H5Dcreate2(group, tensor.name().c_str(), type, space, H5P_DEFAULT, list, H5P_DEFAULT),
      H5Dclose, "H5Dcreate2");
  hdf5::write_text(dataset, "dtype", torch_name(tensor.dtype()));
  hdf5::write_text(dataset, "layout", tensor.layout());
  hdf5::write_text(dataset, "sha256", digest.sha256);
  if (!digest.stored) hdf5::write_integers(dataset, "shape", tensor.shape());
  if (chunked) write_chunks(dataset, tensor, make_grid(tensor.shape(), chunk));
  dataset.close();
}

Inspected inspect_dataset(hid_t dataset, const std::string& group, const std::string& name,
                          std::uint64_t bytes_left) {
  const Handle list(H5Dget_create_plist(dataset), H5Pclose, "H5Dget_create_plist");
  const H5D_layout_t layout = check_storage(list);  // before anything else: a space may open files
  const Handle space(H5Dget_space(dataset), H5Sclose, "H5Dget_space");
  const Handle type(H5Dget_type(dataset), H5Tclose, "H5Dget_type");
  Inspected result;
  Digest& digest = result.digest;
  digest.group = group;
  digest.name = name;
  digest.dtype = parse_torch_dtype(hdf5::read_text(dataset, "dtype"));
  digest.layout = hdf5::read_text(dataset, "layout");
  digest.sha256 = hdf5::read_text(dataset, "sha256");
  digest.stored = H5Sget_simple_extent_type(space) != H5S_NULL;
  digest.shape = digest.stored ? shape_of(space) : hdf5::read_integers(dataset, "shape");
  if (check(H5Tequal(type, hdf5::file_type(digest.dtype)), "H5Tequal") == 0)
    throw InfraError(concat("must store ", group, "/", name, " in the type of its dtype, got ",
                            torch_name(digest.dtype), " in another type"));
  result.filters = read_filters(list);
  if (!digest.stored) return result;
  const std::uint64_t bytes = byte_count(digest, bytes_left);
  if (bytes > 0 && layout == H5D_CHUNKED)
    result.grid = inspect_chunks(dataset, list, digest);
  else
    check_one_piece(dataset, digest, bytes);
  return result;
}

Tensor read_dataset(hid_t dataset, const Inspected& inspected) {
  const Digest& digest = inspected.digest;
  Tensor tensor(digest.name, digest.dtype, digest.layout, digest.shape);
  if (inspected.grid) {
    read_chunks(dataset, inspected, tensor);
  } else if (tensor.size() > 0) {
    const Handle type = hdf5::file_type(digest.dtype);
    check(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.bytes().data()), "H5Dread");
  }
  if (tensor.sha256() != digest.sha256)
    throw InfraError(
        "must hold elements that match their SHA-256, got others; make the file again");
  check_truth_values(tensor);
  return tensor;
}

}  // namespace attest::golden
