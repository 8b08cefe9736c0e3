#include "golden/hdf5.h"

#include <algorithm>
#include <bit>
#include <csignal>
#include <utility>

#include "cases/error.h"
#include "golden/golden_file.h"

namespace attest::hdf5 {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are written as they lie");

constexpr hsize_t kMaxIntegers = 32;  // HDF5 knows at most 32 axes

Handle open_object(hid_t parent, const std::string& name, H5I_type_t kind, const char* expected) {
  const auto close = kind == H5I_GROUP ? H5Gclose : H5Dclose;
  Handle object(H5Oopen(parent, name.c_str(), H5P_DEFAULT), H5Oclose, "H5Oopen");
  if (H5Iget_type(object) != kind)
    throw InfraError(concat("must hold ", expected, " as ", name, ", got another kind of object"));
  return kind == H5I_GROUP ? Handle(H5Gopen2(parent, name.c_str(), H5P_DEFAULT), close, "H5Gopen2")
                           : Handle(H5Dopen2(parent, name.c_str(), H5P_DEFAULT), close, "H5Dopen2");
}

// An IEEE-like binary float of 16 bits: sign, exponent, fraction from the top down.
Handle narrow_type(std::size_t bits, std::size_t exponent_bits, std::size_t bias) {
  const std::size_t fraction_bits = bits - 1 - exponent_bits;
  Handle type(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "H5Tcopy");
  check(H5Tset_fields(type, bits - 1, fraction_bits, exponent_bits, 0, fraction_bits),
        "H5Tset_fields");
  check(H5Tset_precision(type, bits), "H5Tset_precision");
  check(H5Tset_size(type, bits / 8), "H5Tset_size");
  check(H5Tset_ebias(type, bias), "H5Tset_ebias");
  return type;
}

// What h5py makes of numpy's bool, and reads as such.
Handle boolean_type() {
  Handle type(H5Tenum_create(H5T_STD_I8LE), H5Tclose, "H5Tenum_create");
  for (const auto& [name, value] : {std::pair{"FALSE", std::int8_t{0}}, {"TRUE", std::int8_t{1}}})
    check(H5Tenum_insert(type, name, &value), "H5Tenum_insert");
  return type;
}

std::string read_variable_text(hid_t attribute, hid_t type) {
  char* text = nullptr;
  check(H5Aread(attribute, type, &text), "H5Aread");
  const std::string result = text ? text : "";
  check(H5free_memory(text), "H5free_memory");
  return result;
}

// HDF5 puts addresses and times around what the system says.
std::string system_message(const std::string& reason) {
  constexpr std::string_view kBefore = "error message = '";
  const std::size_t start = reason.find(kBefore);
  if (start == std::string::npos) return reason;
  const std::string tail = reason.substr(start + kBefore.size());
  return tail.substr(0, tail.find('\''));
}

Handle open_attribute(hid_t object, const std::string& name) {
  if (check(H5Aexists(object, name.c_str()), "H5Aexists") == 0)
    throw InfraError(
        concat("must hold the attribute ", name, ", got none; run attest golden generate"));
  return {H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose,
          concat("H5Aopen of the attribute ", name)};
}

}  // namespace

void prepare() {
  // A file that could not be flushed makes HDF5 1.10 crash when it tidies up at exit. Every handle
  // closes itself, so there is nothing left to tidy.
  [[maybe_unused]] static const herr_t once = H5dont_atexit();
  // A limit on file sizes (ulimit -f) shall be an error of the write that meets it, as a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  check(H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr), "H5Eset_auto2");
  check(H5PLset_loading_state(0), "H5PLset_loading_state");
}

void fail(std::string_view call) {
  std::string reason = "no reason given";
  const auto keep_innermost = [](unsigned, const H5E_error2_t* error, void* text) -> herr_t {
    if (error->desc) *static_cast<std::string*>(text) = error->desc;
    return 1;  // stop the walk
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &reason);
  throw InfraError(concat("must be a sound HDF5 file on a sound disk, got `",
                          system_message(reason), "` from ", call, "; make the file again"));
}

Handle::Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

Handle::~Handle() {
  if (id_ >= 0) close_(id_);
}

void Handle::close() {
  if (id_ >= 0) check(close_(std::exchange(id_, -1)), "close");
}

Handle property_list(hid_t list_class) { return {H5Pcreate(list_class), H5Pclose, "H5Pcreate"}; }

Handle timeless_property_list(hid_t list_class) {
  Handle list = property_list(list_class);
  check(H5Pset_obj_track_times(list, false), "H5Pset_obj_track_times");
  return list;
}

Handle create_group(hid_t parent, const std::string& name) {
  const Handle list = timeless_property_list(H5P_GROUP_CREATE);
  return {H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, list, H5P_DEFAULT), H5Gclose, "H5Gcreate2"};
}

std::vector<std::string> hard_links(hid_t group, Index limit) {
  H5G_info_t info;
  check(H5Gget_info(group, &info), "H5Gget_info");
  if (info.nlinks > static_cast<hsize_t>(limit))
    throw InfraError(concat("must hold at most ", limit, " links in a group, got ", info.nlinks));
  std::vector<std::string> names;
  for (hsize_t n = 0; n < info.nlinks; ++n) {
    char name[128];
    const ssize_t size = check(H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, n, name,
                                                  sizeof name, H5P_DEFAULT),
                               "H5Lget_name_by_idx");
    if (size >= static_cast<ssize_t>(sizeof name))
      throw InfraError(concat("must hold only names below 128 bytes, got ", size, " bytes"));
    H5L_info_t link;
    check(H5Lget_info(group, name, &link, H5P_DEFAULT), "H5Lget_info");
    if (link.type != H5L_TYPE_HARD)
      throw InfraError(concat("must hold only hard links, got ",
                              link.type == H5L_TYPE_SOFT ? "a soft" : "an external", " link named ",
                              name, "; do not trust this file"));
    names.emplace_back(name);
  }
  return names;
}

Handle open_group(hid_t parent, const std::string& name) {
  return open_object(parent, name, H5I_GROUP, "a group");
}

Handle open_dataset(hid_t parent, const std::string& name) {
  return open_object(parent, name, H5I_DATASET, "a dataset");
}

Handle file_type(Dtype dtype) {
  switch (dtype) {
    case Dtype::fp64:
      return {H5Tcopy(H5T_IEEE_F64LE), H5Tclose, "H5Tcopy"};
    case Dtype::fp32:
      return {H5Tcopy(H5T_IEEE_F32LE), H5Tclose, "H5Tcopy"};
    case Dtype::fp16:
      return narrow_type(16, 5, 15);
    case Dtype::bf16:
      return narrow_type(16, 8, 127);
    case Dtype::e4m3:
      return narrow_type(8, 4, 7);
    case Dtype::e5m2:
      return narrow_type(8, 5, 15);
    case Dtype::int32:
      return {H5Tcopy(H5T_STD_I32LE), H5Tclose, "H5Tcopy"};
    case Dtype::boolean:
      return boolean_type();
  }
  throw Error("golden: unknown storage type");
}

void write_text(hid_t object, const std::string& name, std::string_view text) {
  if (text.size() > kMaxText || text.find('\0') != std::string_view::npos)
    throw Error(concat("golden: attributes must be text without NUL of at most ", kMaxText,
                       " bytes, got ", text.size(), " bytes for ", name));
  const std::string padded = text.empty() ? std::string(1, '\0') : std::string(text);
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "H5Tcopy");
  check(H5Tset_size(type, padded.size()), "H5Tset_size");
  check(H5Tset_strpad(type, H5T_STR_NULLPAD), "H5Tset_strpad");
  check(H5Tset_cset(type, H5T_CSET_UTF8), "H5Tset_cset");
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose, "H5Screate");
  Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose, "H5Acreate2");
  check(H5Awrite(attribute, type, padded.data()), "H5Awrite");
  attribute.close();
}

std::string read_text(hid_t object, const std::string& name) {
  const Handle attribute = open_attribute(object, name);
  const Handle type(H5Aget_type(attribute), H5Tclose, "H5Aget_type");
  const Handle space(H5Aget_space(attribute), H5Sclose, "H5Aget_space");
  if (H5Tget_class(type) != H5T_STRING || H5Sget_simple_extent_type(space) != H5S_SCALAR)
    throw InfraError(concat("must hold the attribute ", name, " as one text, got another type"));
  if (check(H5Tis_variable_str(type), "H5Tis_variable_str") > 0)
    return read_variable_text(attribute, type);
  const std::size_t size = H5Tget_size(type);
  if (size == 0 || size > kMaxText)
    throw InfraError(concat("must hold texts of at most ", kMaxText, " bytes, got ", size,
                            " bytes for the attribute ", name));
  std::string text(size, '\0');
  check(H5Aread(attribute, type, text.data()), "H5Aread");
  return text.substr(0, text.find('\0'));
}

std::vector<std::string> attribute_names(hid_t object) {
  std::vector<std::string> names;
  const auto append = [](hid_t, const char* name, const H5A_info_t*, void* list) -> herr_t {
    static_cast<std::vector<std::string>*>(list)->emplace_back(name);
    return 0;
  };
  check(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, append, &names), "H5Aiterate2");
  return names;
}

void write_integers(hid_t object, const std::string& name, std::span<const Index> numbers) {
  const hsize_t extent = numbers.size();
  const Handle space(H5Screate_simple(1, &extent, nullptr), H5Sclose, "H5Screate_simple");
  Handle attribute(H5Acreate2(object, name.c_str(), H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT),
                   H5Aclose, "H5Acreate2");
  check(H5Awrite(attribute, H5T_NATIVE_INT64, numbers.data()), "H5Awrite");
  attribute.close();
}

std::vector<Index> read_integers(hid_t object, const std::string& name) {
  const Handle attribute = open_attribute(object, name);
  const Handle type(H5Aget_type(attribute), H5Tclose, "H5Aget_type");
  const Handle space(H5Aget_space(attribute), H5Sclose, "H5Aget_space");
  hsize_t extent = 0;
  if (H5Tget_class(type) != H5T_INTEGER || H5Sget_simple_extent_ndims(space) != 1 ||
      H5Sget_simple_extent_dims(space, &extent, nullptr) != 1 || extent > kMaxIntegers)
    throw InfraError(
        concat("must hold the attribute ", name, " as a short list of integers, got another type"));
  std::vector<Index> numbers(extent);
  check(H5Aread(attribute, H5T_NATIVE_INT64, numbers.data()), "H5Aread");
  return numbers;
}

}  // namespace attest::hdf5

std::string attest::hdf5_version() {
  hdf5::prepare();
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return concat(major, '.', minor, '.', release);
}
