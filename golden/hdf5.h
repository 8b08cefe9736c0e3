#pragma once

// A thin layer over the HDF5 C API: handles that close themselves, calls that are checked, and the
// few kinds of attribute and type that golden files use. Included by golden/*.cpp only.

#include <hdf5.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cases/dtype.h"

namespace attest::hdf5 {

/// Switches off HDF5's own printing of errors (per thread) and the loading of plug-ins.
void prepare();

/// Throws InfraError with HDF5's innermost message.
[[noreturn]] void fail(std::string_view call);

/// Result of an HDF5 call, which is negative on failure.
template <class Result>
Result check(Result result, std::string_view call) {
  if (result < 0) fail(call);
  return result;
}

/// Owns one HDF5 identifier.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);

  Handle() = default;
  Handle(hid_t id, Close closer, std::string_view call) : id_(check(id, call)), close_(closer) {}
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  ~Handle();

  operator hid_t() const { return id_; }

  /// Closes now and throws InfraError when that fails; the destructor cannot.
  void close();

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

/// A property list that records no times, so that equal content gives equal bytes.
Handle property_list(hid_t list_class);
Handle timeless_property_list(hid_t list_class);

/// A new group.
Handle create_group(hid_t parent, const std::string& name);

/// Names of the links of a group in ascending order. Throws InfraError for more than `limit` links
/// or for any link that is not a hard link.
std::vector<std::string> hard_links(hid_t group, Index limit);

/// The group or dataset `name`. Throws InfraError for anything else.
Handle open_group(hid_t parent, const std::string& name);
Handle open_dataset(hid_t parent, const std::string& name);

/// The file type of a dtype. Memory types are the same: HDF5 never converts an element, because
/// its conversions to 16 bits round wrongly.
Handle file_type(Dtype);

constexpr std::size_t kMaxText = 60000;  // bytes; an object header message holds 64 KiB

/// Text attributes: written as fixed-length UTF-8, which lies in the checksummed object header;
/// variable-length text is read too, because that is what h5py writes.
void write_text(hid_t object, const std::string& name, std::string_view text);
std::string read_text(hid_t object, const std::string& name);
std::vector<std::string> attribute_names(hid_t object);

/// One-dimensional integer attributes of 1 to 32 numbers.
void write_integers(hid_t object, const std::string& name, std::span<const Index> numbers);
std::vector<Index> read_integers(hid_t object, const std::string& name);

}  // namespace attest::hdf5
