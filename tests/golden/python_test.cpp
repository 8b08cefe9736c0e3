#include <cstdlib>
#include <limits>

#include "tests/golden/files.h"

using namespace golden_test;

namespace {

const std::string kPython = "/usr/bin/python3";
const fs::path kScript = fs::path(ATTEST_SOURCE_DIR) / "tests/golden/test_attest_golden.py";

// All 65536 patterns as q, and an lse with -inf, a NaN payload and a value between two floats.
StoredCase patterns(Dtype dtype) {
  StoredCase c = sample(concat("mha B=1 Sq=64 Sk=0 H=1 D=1024 dtype=", name(dtype)));
  c.groups["inputs"] = {};
  c.groups["inputs"].add(counting("q", dtype, "BSHD", {1, 64, 1, 1024}));
  c.groups["inputs"].add(Tensor("k", dtype, "BSHD", {1, 0, 1, 1024}));
  const auto lse = c.groups["outputs"].at("lse").as<double>();
  lse[0] = -std::numeric_limits<double>::infinity();
  const std::uint64_t nan_payload = 0x7FF8000000000123;
  std::memcpy(&lse[1], &nan_payload, sizeof nan_payload);
  lse[2] = 1 + 0x1p-24;
  return c;
}

}  // namespace

TEST_CASE("the Python package and h5py read what C++ writes, and C++ what Python writes") {
  if (std::system((kPython + " -c 'import h5py, numpy' 2>/dev/null").c_str()) != 0) {
    WARN("skipped: " << kPython << " has no h5py and numpy");
    return;
  }
  const Folder folder;
  StoredCase digest = sample("mqa B=1 Sq=2 Sk=3 H=2 D=8 dtype=bf16 seed=5");
  digest.tier = "digest";
  const StoredCase large = sample("gqa B=2 Sq=300 Sk=70 H=8 G=2 D=72 Dv=64 dtype=fp16");
  write(folder / "fixture.h5", {patterns(Dtype::bf16), patterns(Dtype::fp16), digest, large});
  const std::string command = concat("ATTEST_GOLDEN=", (folder / "fixture.h5").string(),
                                     " ATTEST_CANDIDATE=", (folder / "candidate.h5").string(),
                                     " PYTHONDONTWRITEBYTECODE=1 ", kPython, " ", kScript.string(),
                                     " > ", (folder / "log").string(), " 2>&1");
  const int status = std::system(command.c_str());
  const std::string log = bytes_of(folder / "log");
  INFO(log);
  CHECK(status == 0);
  CHECK(log.find("skipped") == std::string::npos);

  const GoldenFile candidate(folder / "candidate.h5");
  REQUIRE(candidate.case_ids().size() == 1);
  const StoredCase c = candidate.read(candidate.case_ids()[0]);
  CHECK(print(c.problem) == "mha B=2 Sq=300 Sk=4 H=4 G=4 D=64 Dv=128 dtype=bf16");
  REQUIRE(c.groups.size() == 1);
  const auto o = c.groups.at("outputs").at("o").as<std::uint16_t>();
  bool equal = true;
  for (std::size_t n = 0; n < o.size(); ++n) equal = equal && o[n] == n * 40503 % 65536;
  CHECK(equal);
  CHECK(c.groups.at("outputs").at("lse").value(5) == -std::numeric_limits<double>::infinity());
  CHECK(c.groups.at("outputs").at("lse").value(7) == -1);
}
