#include <csignal>
#include <random>

#include "golden/isolate.h"
#include "tests/golden/files.h"

using namespace golden_test;

namespace {

std::vector<StoredCase> two_cases() {
  return {sample(kSmall), sample("mha B=1 Sq=9 Sk=17 H=2 D=24 dtype=fp16 seed=3")};
}

// Reading either throws InfraError or gives what was written.
bool refused_or_identical(const fs::path& path, const std::vector<StoredCase>& cases,
                          int& refused) {
  try {
    const GoldenFile file(path);
    for (const StoredCase& c : cases)
      if (!same(file.read(case_id(c.problem)), c)) return false;
  } catch (const InfraError&) {
    ++refused;
  }
  return true;
}

}  // namespace

TEST_CASE("a truncated file is refused at every length") {
  const Folder folder;
  write(folder / "a.h5", two_cases());
  const std::string bytes = bytes_of(folder / "a.h5");
  for (std::size_t n = 0; n < 100; ++n) {
    const std::size_t length = n < 20 ? n * 8 : bytes.size() * n / 100;
    write_bytes(folder / "b.h5", bytes.substr(0, length));
    CAPTURE(length, bytes.size());
    REQUIRE(refusal(folder / "b.h5") != "");
  }
  write_bytes(folder / "b.h5", bytes.substr(0, bytes.size() - 1));
  CHECK(refusal(folder / "b.h5") != "");
}

TEST_CASE("one flipped bit anywhere is refused or changes no value") {
  const Folder folder;
  const std::vector<StoredCase> cases = two_cases();
  write(folder / "a.h5", cases);
  const std::string bytes = bytes_of(folder / "a.h5");
  std::mt19937 random(7);
  int refused = 0;
  constexpr int kFlips = 400;
  for (int n = 0; n < kFlips; ++n) {
    const std::size_t bit = random() % (8 * bytes.size());
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    write_bytes(folder / "b.h5", flipped);
    CAPTURE(bit / 8, bit % 8);
    REQUIRE(refused_or_identical(folder / "b.h5", cases, refused));
  }
  CHECK(refused > kFlips / 2);  // the others hit bytes that nobody reads
}

TEST_CASE("damaged elements are refused with the case and the tensor they belong to") {
  const Folder folder;
  write(folder / "a.h5", {sample(kSmall)});
  haddr_t address = HADDR_UNDEF;
  const std::string id = case_id(parse_problem(kSmall));
  edit(folder / "a.h5", [&](hid_t file) {
    const std::string path = concat("cases/", id, "/outputs/o");
    const hdf5::Handle o(H5Dopen2(file, path.c_str(), H5P_DEFAULT), H5Dclose, "H5Dopen2");
    const hdf5::Handle space(H5Dget_space(o), H5Sclose, "H5Dget_space");
    hsize_t size = 0;
    unsigned mask = 0;
    hdf5::check(H5Dget_chunk_info(o, space, 0, nullptr, &mask, &address, &size), "info");
  });
  std::string bytes = bytes_of(folder / "a.h5");
  bytes.at(address + 20) ^= 1;
  write_bytes(folder / "a.h5", bytes);
  const std::string message = refusal(folder / "a.h5");
  CAPTURE(message);
  CHECK(message.find(concat("a.h5 case ", id, " outputs/o must hold chunks that match")) !=
        std::string::npos);
}

TEST_CASE("garbage in place of a whole block is refused or changes no value") {
  const Folder folder;
  const std::vector<StoredCase> cases = two_cases();
  write(folder / "a.h5", cases);
  const std::string bytes = bytes_of(folder / "a.h5");
  std::mt19937 random(11);
  int refused = 0;
  for (int n = 0; n < 200; ++n) {
    std::string damaged = bytes;
    const std::size_t start = random() % (bytes.size() - 64);
    for (std::size_t i = 0; i < 64; ++i)
      damaged[start + i] = static_cast<char>(n % 2 ? random() : 0);
    write_bytes(folder / "b.h5", damaged);
    CAPTURE(n, start);
    REQUIRE(refused_or_identical(folder / "b.h5", cases, refused));
  }
  CHECK(refused > 100);
}

TEST_CASE("an inspection that crashes or never ends is a refusal, not our end") {
  const GoldenLimits limits{.max_inspection_seconds = 1};
  CHECK(refuses([&] { golden::isolate([] { std::raise(SIGSEGV); }, limits); }, "signal 11"));
  CHECK(refuses(
      [&] {
        golden::isolate(
            [] {
              for (volatile bool on = true; on;) continue;
            },
            limits);
      },
      "signal 24"));
  CHECK(refuses([&] { golden::isolate([] { throw InfraError("must be so"); }, limits); },
                "must be so"));
  CHECK(refuses([&] { golden::isolate([] { _exit(3); }, limits); }, "died of status"));
  golden::isolate([] {}, limits);
}

TEST_CASE("an inspection that asks for more memory than allowed is a refusal") {
  const GoldenLimits limits{.max_inspection_bytes = 64 << 20};
  CHECK(refuses([&] { golden::isolate([] { std::vector<char>(256 << 20, 'x'); }, limits); },
                "bad_alloc"));
}
