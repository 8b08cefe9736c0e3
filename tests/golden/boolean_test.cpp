// Truth values: stored as h5py stores numpy's bool, and read from nothing else.
#include <array>

#include "golden/layout.h"
#include "tests/golden/files.h"

using namespace golden_test;
using hdf5::check;
using hdf5::Handle;

namespace {

const std::string kMasked = "gqa B=2 Sq=3 Sk=5 H=4 G=2 D=8 dtype=bf16 attn_mask=batch";

/// A case with attn_mask [2,1,3,5], whose element 7 is `seventh`.
StoredCase masked(std::uint8_t seventh) {
  StoredCase c = sample(kMasked);
  Tensor mask("attn_mask", Dtype::boolean, "BHSK", {2, 1, 3, 5});
  for (std::size_t n = 0; n < mask.bytes().size(); ++n) mask.bytes()[n] = std::byte{n % 3 == 0};
  mask.bytes()[7] = std::byte{seventh};
  c.groups["inputs"].add(mask);
  return c;
}

Handle enumeration(hid_t base, const char* of_0, const char* of_1) {
  Handle type(H5Tenum_create(base), H5Tclose, "H5Tenum_create");
  const std::array<std::int8_t, 2> values = {0, 1};
  check(H5Tenum_insert(type, of_0, &values[0]), "H5Tenum_insert");
  check(H5Tenum_insert(type, of_1, &values[1]), "H5Tenum_insert");
  return type;
}

void replace_mask(hid_t file, hid_t type, const Tensor& mask) {
  const std::string inputs = "/cases/" + case_id(parse_problem(kMasked)) + "/inputs";
  const Handle group(H5Gopen2(file, inputs.c_str(), H5P_DEFAULT), H5Gclose, "H5Gopen2");
  check(H5Ldelete(group, "attn_mask", H5P_DEFAULT), "H5Ldelete");
  const std::vector<hsize_t> shape(mask.shape().begin(), mask.shape().end());
  const Handle space(H5Screate_simple(4, shape.data(), nullptr), H5Sclose, "H5Screate_simple");
  const Handle dataset(
      H5Dcreate2(group, "attn_mask", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Dclose,
      "H5Dcreate2");
  hdf5::write_text(dataset, "dtype", "bool");
  hdf5::write_text(dataset, "layout", mask.layout());
  hdf5::write_text(dataset, "sha256", mask.sha256());
  check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, mask.bytes().data()), "H5Dwrite");
}

/// What reading says of a file whose hashes are right and whose attn_mask is of this type, with
/// element 7 as given.
std::string refusal_of(hid_t type, std::uint8_t seventh) {
  const Folder folder;
  write(folder / "a.h5", {masked(1)});
  const Tensor mask = masked(seventh).groups.at("inputs").at("attn_mask");
  const std::string id = case_id(parse_problem(kMasked));
  std::vector<Digest> digests = GoldenFile(folder / "a.h5").digests(id);
  for (Digest& digest : digests)
    if (digest.name == mask.name()) digest.sha256 = mask.sha256();
  edit(folder / "a.h5", [&](hid_t file) {
    replace_mask(file, type, mask);
    check(H5Adelete(file, "logical_hash"), "H5Adelete");
    hdf5::write_text(file, "logical_hash", golden::logical_hash({{id, digests}}));
  });
  const std::string message = refusal(folder / "a.h5");
  UNSCOPED_INFO(message);
  return message;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("truth values come back as they were, in chunks and in one piece") {
  const Folder folder;
  write(folder / "a.h5", {masked(1)});
  CHECK(same(GoldenFile(folder / "a.h5").read(case_id(parse_problem(kMasked))), masked(1)));
  CHECK(refusal_of(enumeration(H5T_STD_I8LE, "FALSE", "TRUE"), 1) == "");
  CHECK(refusal_of(enumeration(H5T_STD_I8LE, "FALSE", "TRUE"), 0) == "");
}

TEST_CASE("truth values of another type than h5py's are refused") {
  const std::string rule = "must store inputs/attn_mask in the type of its dtype, got bool";
  CHECK(holds(refusal_of(H5T_STD_U8LE, 1), rule));
  CHECK(holds(refusal_of(H5T_STD_I8LE, 1), rule));
  CHECK(holds(refusal_of(enumeration(H5T_STD_U8LE, "FALSE", "TRUE"), 1), rule));
  CHECK(holds(refusal_of(enumeration(H5T_STD_I8LE, "TRUE", "FALSE"), 1), rule));
  CHECK(holds(refusal_of(enumeration(H5T_STD_I8LE, "NO", "YES"), 1), rule));
  Handle more = enumeration(H5T_STD_I8LE, "FALSE", "TRUE");
  const std::int8_t two = 2;
  check(H5Tenum_insert(more, "MAYBE", &two), "H5Tenum_insert");
  CHECK(holds(refusal_of(more, 2), rule));
}

TEST_CASE("truth values that are neither 0 nor 1 are refused, by the reader and by the writer") {
  CHECK(holds(refusal_of(hdf5::file_type(Dtype::boolean), 2),
              "must hold truth values as 0 or 1, got 2 in attn_mask"));
  CHECK(holds(refusal_of(hdf5::file_type(Dtype::boolean), 255), "as 0 or 1, got 255"));
  const Folder folder;
  StoredCase odd = masked(3);
  CHECK(refuses([&] { write(folder / "a.h5", {odd}); }, "as 0 or 1, got 3 in attn_mask"));
  odd.tier = "digest";
  CHECK(refuses([&] { write(folder / "a.h5", {odd}); }, "as 0 or 1, got 3 in attn_mask"));
  CHECK(folder.names().empty());
}

TEST_CASE("a mask is kept in the shape of its axes and as truth values only") {
  const Folder folder;
  StoredCase c = sample(kMasked);
  c.groups["inputs"].add(Tensor("attn_mask", Dtype::boolean, "BHSK", {1, 1, 3, 5}));
  CHECK(refuses([&] { write(folder / "a.h5", {c}); },
                "must hold inputs/attn_mask as BHSK 2x1x3x5, got BHSK 1x1x3x5"));
  StoredCase bytes = sample(kMasked);
  bytes.groups["inputs"].add(counting("attn_mask", Dtype::int32, "BHSK", {2, 1, 3, 5}));
  CHECK(refuses([&] { write(folder / "a.h5", {bytes}); },
                "must hold inputs/attn_mask as bool, got int32"));
}
