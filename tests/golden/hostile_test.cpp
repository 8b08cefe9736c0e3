#include "tests/golden/files.h"

using namespace golden_test;
using hdf5::check;
using hdf5::Handle;

namespace {

const std::string kGroup = "/cases/" + case_id(parse_problem(kSmall)) + "/outputs";

struct Foreign {
  Handle type = hdf5::file_type(Dtype::fp64);
  Handle list = hdf5::property_list(H5P_DATASET_CREATE);
  std::vector<hsize_t> shape = {1, 4, 4};
};

// Puts another dataset in the place of lse, with the attributes that the format asks for.
void replace_lse(hid_t file, const Foreign& foreign) {
  const Handle group(H5Gopen2(file, kGroup.c_str(), H5P_DEFAULT), H5Gclose, "H5Gopen2");
  check(H5Ldelete(group, "lse", H5P_DEFAULT), "H5Ldelete");
  const Handle space(
      H5Screate_simple(static_cast<int>(foreign.shape.size()), foreign.shape.data(), nullptr),
      H5Sclose, "H5Screate_simple");
  const Handle dataset(
      H5Dcreate2(group, "lse", foreign.type, space, H5P_DEFAULT, foreign.list, H5P_DEFAULT),
      H5Dclose, "H5Dcreate2");
  hdf5::write_text(dataset, "dtype", "float64");
  hdf5::write_text(dataset, "layout", std::string("BHSD").substr(0, foreign.shape.size()));
  hdf5::write_text(dataset, "sha256", std::string(64, '0'));
}

void replace_text(hid_t file, const std::string& object, const std::string& name,
                  const std::string& text) {
  const Handle node(H5Gopen2(file, object.c_str(), H5P_DEFAULT), H5Gclose, "H5Gopen2");
  check(H5Adelete(node, name.c_str()), "H5Adelete");
  hdf5::write_text(node, name, text);
}

// What reading says of a good file after one change.
std::string refusal_after(const std::function<void(hid_t)>& change, GoldenLimits limits = {}) {
  const Folder folder;
  write(folder / "a.h5", {sample(kSmall)});
  edit(folder / "a.h5", change);
  const std::string message = refusal(folder / "a.h5", limits);
  UNSCOPED_INFO(message);
  CHECK(message.rfind(concat("golden: ", (folder / "a.h5").string(), " "), 0) == 0);
  return message;
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a file of another format or version is refused with what to do") {
  const std::string newer = refusal_after([](hid_t file) {
    check(H5Adelete(file, "format_version"), "H5Adelete");
    hdf5::write_integers(file, "format_version", std::vector<Index>{2, 0});
  });
  CHECK(holds(newer, "a.h5 has format 2.0, this build reads 1.0; run attest golden generate"));
  CHECK(holds(refusal_after([](hid_t f) { replace_text(f, "/", "format", "soup"); }),
              "must say format=attest-golden, got soup"));
  CHECK(holds(refusal_after([](hid_t f) { check(H5Adelete(f, "format"), "H5Adelete"); }),
              "must hold the attribute format, got none; run attest golden generate"));
}

TEST_CASE("a newer minor version is read") {
  const Folder folder;
  write(folder / "a.h5", {sample(kSmall)});
  edit(folder / "a.h5", [](hid_t file) {
    check(H5Adelete(file, "format_version"), "H5Adelete");
    hdf5::write_integers(file, "format_version", std::vector<Index>{1, 7});
    hdf5::write_text(file, "an_attribute_of_1_7", "x");
  });
  CHECK(refusal(folder / "a.h5") == "");
}

TEST_CASE("what is no HDF5 file is refused") {
  const Folder folder;
  write_bytes(folder / "text.h5", "hello, this is text and not HDF5");
  CHECK(holds(refusal(folder / "text.h5"), "must be an HDF5 file"));
  CHECK(holds(refusal(folder / "none.h5"), "must be a file, got nothing"));
  CHECK(holds(refusal("/dev/zero"), "must be a file, got something else"));
}

TEST_CASE("links that leave the file, or point by name, are refused") {
  const auto at = GENERATE(as<std::string>(), "/side", "/cases/side", "");
  const std::string path = at.empty() ? kGroup + "/side" : at;
  CHECK(holds(refusal_after([&](hid_t file) {
                check(H5Lcreate_external("/etc/passwd", "/", file, path.c_str(), H5P_DEFAULT,
                                         H5P_DEFAULT),
                      "H5Lcreate_external");
              }),
              "must hold only hard links, got an external link named side"));
  CHECK(holds(refusal_after([&](hid_t file) {
                check(H5Lcreate_soft("/cases", file, path.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                      "H5Lcreate_soft");
              }),
              "must hold only hard links, got a soft link named side"));
}

TEST_CASE("objects where the format has none are refused") {
  CHECK(holds(refusal_after([](hid_t f) { hdf5::create_group(f, "more"); }),
              "must hold the group cases and nothing beside it"));
  CHECK(holds(refusal_after([](hid_t f) { hdf5::create_group(f, kGroup + "/deeper"); }),
              "must hold a dataset as deeper"));
  CHECK(holds(refusal_after([](hid_t f) {
                const Handle type(H5Tcopy(H5T_IEEE_F64LE), H5Tclose, "H5Tcopy");
                H5Tcommit2(f, (kGroup + "/x").c_str(), type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
              }),
              "must hold a dataset as x"));
}

TEST_CASE("storage outside the file is refused") {
  Foreign external;
  check(H5Pset_external(external.list, "/etc/passwd", 0, 128), "H5Pset_external");
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, external); }), "got external storage"));

  Foreign virtual_one;
  const Handle space(H5Screate_simple(3, virtual_one.shape.data(), nullptr), H5Sclose, "space");
  check(H5Pset_virtual(virtual_one.list, space, "/etc/passwd", "/x", space), "H5Pset_virtual");
  CHECK(
      holds(refusal_after([&](hid_t f) { replace_lse(f, virtual_one); }), "got a virtual dataset"));
}

TEST_CASE("filters that a plain reader lacks, or in another order, are refused") {
  Foreign nbit, reversed;
  for (Foreign* f : {&nbit, &reversed})
    check(H5Pset_chunk(f->list, 3, f->shape.data()), "H5Pset_chunk");
  check(H5Pset_nbit(nbit.list), "H5Pset_nbit");
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, nbit); }), "got HDF5 filter 5"));
  check(H5Pset_deflate(reversed.list, 4), "H5Pset_deflate");
  check(H5Pset_shuffle(reversed.list), "H5Pset_shuffle");
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, reversed); }),
              "got HDF5 filter 2 in place 1"));
}

TEST_CASE("a dataset whose type is not that of its dtype is refused") {
  Foreign narrow;
  narrow.type = hdf5::file_type(Dtype::fp32);
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, narrow); }),
              "must store outputs/lse in the type of its dtype, got float64"));
}

TEST_CASE("shapes that disagree with the problem are refused") {
  Foreign contiguous;
  contiguous.shape = {1, 4, 5};
  check(H5Pset_alloc_time(contiguous.list, H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time");
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, contiguous); }),
              "must hold outputs/lse as BHS 1x4x4, got BHS 1x4x5"));
}

TEST_CASE("a few kilobytes that declare terabytes are refused") {
  Foreign huge;
  huge.shape = {1 << 20, 1 << 20, 4};
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, huge); }), "must hold at most"));
  huge.shape = {hsize_t{1} << 60, 1, 1};
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, huge); }), "extents of at most 2^48"));
  CHECK(holds(refusal_after([](hid_t) {}, {.max_case_bytes = 100}), "must hold at most"));
  CHECK(holds(refusal_after([](hid_t) {}, {.max_cases = 0}), "must hold at most 0 links"));
}

TEST_CASE("elements that were never written are refused") {
  Foreign chunked;
  check(H5Pset_chunk(chunked.list, 3, chunked.shape.data()), "H5Pset_chunk");
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, chunked); }), "must hold every chunk"));
  CHECK(holds(refusal_after([&](hid_t f) { replace_lse(f, Foreign{}); }),
              "must hold 128 bytes of outputs/lse, got 0"));
}

TEST_CASE("a case under an id that is not its problem's is refused") {
  CHECK(holds(refusal_after([](hid_t f) {
                check(H5Lmove(f, kGroup.substr(0, 23).c_str(), f, "/cases/0123456789abcdef",
                              H5P_DEFAULT, H5P_DEFAULT),
                      "H5Lmove");
              }),
              "must keep each case under the id of its canonical problem, got 0123456789abcdef"));
  CHECK(holds(refusal_after([](hid_t f) {
                replace_text(f, kGroup.substr(0, 23), "problem", "gqa B=1 Sq=nonsense");
              }),
              "Sq must be a whole number"));
}

TEST_CASE("a tier that the elements contradict is refused") {
  CHECK(
      holds(refusal_after([](hid_t f) { replace_text(f, kGroup.substr(0, 23), "tier", "digest"); }),
            "must store the elements of all tensors of a full case and of none of a digest"));
  CHECK(holds(
      refusal_after([](hid_t f) { replace_text(f, kGroup.substr(0, 23), "tier", "sampled"); }),
      "must be of tier full or digest, got sampled"));
}

TEST_CASE("a case or a tensor that is missing is noticed by the logical hash") {
  CHECK(holds(refusal_after([](hid_t f) {
                check(H5Ldelete(f, (kGroup + "/lse").c_str(), H5P_DEFAULT), "H5Ldelete");
              }),
              "must hold exactly the tensors of its logical hash"));
  CHECK(holds(refusal_after([](hid_t f) {
                check(H5Ldelete(f, kGroup.substr(0, 23).c_str(), H5P_DEFAULT), "H5Ldelete");
              }),
              "must hold exactly the tensors of its logical hash"));
}

TEST_CASE("a file without a case is neither read nor written") {
  const std::string of_nothing = refusal_after([](hid_t f) {
    check(H5Ldelete(f, kGroup.substr(0, 23).c_str(), H5P_DEFAULT), "H5Ldelete");
    replace_text(f, "/", "logical_hash",
                 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });
  CHECK(holds(of_nothing, "must hold at least one case, got none"));
  const Folder folder;
  CHECK(refuses([&] { write(folder / "a.h5", {}); }, "must hold at least one case, got none"));
  CHECK(folder.names().empty());
}
