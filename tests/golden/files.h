#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "cases/error.h"
#include "golden/golden_file.h"
#include "golden/hdf5.h"
#include "tests/catch.h"

namespace golden_test {

using namespace attest;
namespace fs = std::filesystem;

/// A folder that goes away with the test.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "attest_golden_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  fs::path path_;
};

inline std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Bits count up from `start` in steps of `step`: every pattern, NaNs included, is a fine tensor.
inline Tensor counting(std::string name, Dtype dtype, std::string layout, std::vector<Index> shape,
                       std::uint64_t start = 0, std::uint64_t step = 1) {
  Tensor tensor(std::move(name), dtype, std::move(layout), std::move(shape));
  const std::size_t size = size_of(dtype);
  for (std::size_t n = 0; n < tensor.bytes().size() / size; ++n) {
    const std::uint64_t bits = start + n * step;
    std::memcpy(tensor.bytes().data() + n * size, &bits, size);
  }
  return tensor;
}

/// Inputs, outputs and one conditioning tensor for a problem.
inline StoredCase sample(const std::string& problem) {
  StoredCase c;
  c.problem = parse_problem(problem);
  const Problem& p = c.problem;
  TensorSet& inputs = c.groups["inputs"];
  inputs.add(counting("q", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.D}, 0x3F00));
  inputs.add(counting("k", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.D}, 0x4001, 3));
  inputs.add(counting("v", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.Dv}, 0x7FF0, 5));
  constexpr std::uint64_t kOne = 0x3FF0000000000000;  // 1.0
  TensorSet& outputs = c.groups["outputs"];
  outputs.add(counting("o", Dtype::fp64, "BSHD", {p.B, p.Sq, p.H, p.Dv}, kOne, 1ULL << 32));
  outputs.add(counting("lse", Dtype::fp64, "BHS", {p.B, p.H, p.Sq}, kOne, 1ULL << 40));
  c.groups["conditioning"].add(
      counting("row_max", Dtype::fp64, "BHS", {p.B, p.H, p.Sq}, kOne, 1ULL << 30));
  return c;
}

inline const Provenance kProvenance{"attest 0.1.0 test", "g++ -O2", "attest golden generate"};
inline const std::string kSmall = "gqa B=1 Sq=4 Sk=6 H=4 G=2 D=8 dtype=bf16 mask=causal";

inline void write(const fs::path& path, const std::vector<StoredCase>& cases) {
  GoldenWriter writer(path, kProvenance);
  for (const StoredCase& c : cases) writer.add(c);
  writer.publish();
}

/// Whether two cases hold the same bits under the same names.
inline bool same(const StoredCase& a, const StoredCase& b) {
  if (a.problem != b.problem || a.tier != b.tier || a.attributes != b.attributes) return false;
  if (a.groups.size() != b.groups.size()) return false;
  for (const auto& [group, tensors] : a.groups) {
    if (!b.groups.count(group) || b.groups.at(group).size() != tensors.size()) return false;
    for (const Tensor& tensor : tensors) {
      const Tensor* other = b.groups.at(group).find(tensor.name());
      if (!other || other->layout() != tensor.layout() || other->shape() != tensor.shape() ||
          other->dtype() != tensor.dtype() ||
          !std::equal(tensor.bytes().begin(), tensor.bytes().end(), other->bytes().begin()))
        return false;
    }
  }
  return true;
}

/// Whether the action throws an attest::Error whose message holds `part`.
inline bool refuses(const std::function<void()>& action, const std::string& part) {
  try {
    action();
  } catch (const Error& error) {
    UNSCOPED_INFO(error.what());
    return std::string(error.what()).find(part) != std::string::npos;
  }
  return false;
}

/// What reading a whole file says: "" or the message of the InfraError.
inline std::string refusal(const fs::path& path, GoldenLimits limits = {}) {
  try {
    const GoldenFile file(path, limits);
    for (const std::string& id : file.case_ids()) file.read(id);
  } catch (const InfraError& error) {
    return error.what();
  }
  return "";
}

/// Changes a file through HDF5 itself.
inline void edit(const fs::path& path, const std::function<void(hid_t)>& change) {
  hdf5::prepare();
  hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose, "H5Fopen");
  change(file);
  file.close();
}

}  // namespace golden_test
