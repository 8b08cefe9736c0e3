#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest {

/// One case as a golden file keeps it.
///
/// groups: "inputs" (q [B,Sq,H,D], k [B,Sk,G,D], v [B,Sk,G,Dv] in the problem's dtype), "outputs"
/// (o [B,Sq,H,Dv], lse [B,H,Sq]), "conditioning" (cases/truth.h); of a layer what cases/stages.h
/// lets in and leaves. Dumps of failing cases add "got" and "bound", which hold o and lse too.
/// Tensors of these names must have these shapes; other names may have any shape. Tensors come back
/// in name order.
/// tier: "full" keeps every element, "digest" only shape, dtype and SHA-256 of every tensor.
/// attributes: further text, such as "run" (how a dumped case was run) or "verdict".
struct StoredCase {
  Problem problem;
  std::string tier = "full";
  std::map<std::string, TensorSet> groups;
  std::map<std::string, std::string> attributes;
};

/// Where a file comes from. Free text, no part of the logical hash.
struct Provenance {
  std::string producer;  ///< name, version, git commit
  std::string profile;   ///< compiler, flags, instruction set, Eigen version
  std::string command;   ///< what made the file
};

/// Version of the HDF5 library that this program runs with.
std::string hdf5_version();

/// What a golden file says of one tensor without its elements.
struct Digest {
  std::string group, name;
  Dtype dtype;
  std::string layout;
  std::vector<Index> shape;
  std::string sha256;  ///< Tensor::sha256()
  bool stored;         ///< false: the tier leaves the elements out
};

/// What a reader is willing to believe of a file that somebody else wrote.
struct GoldenLimits {
  Index max_cases = Index{1} << 16;
  std::uint64_t max_case_bytes = std::uint64_t{4} << 30;        ///< tensors of one case, in memory
  std::uint64_t max_inspection_bytes = std::uint64_t{1} << 30;  ///< memory of the first inspection
  unsigned max_inspection_seconds = 60;                         ///< its CPU time
  bool isolate = true;  ///< first inspect in a child process; false only for a file of our own
};

/// Writes a golden file (golden/schema.md) so that the target is either the whole new file or what
/// it was before:
///
///     GoldenWriter writer("smoke.h5", {producer, profile, command});
///     writer.add({problem, "full", {{"inputs", q_k_v}, {"outputs", o_lse}}, {}});
///     writer.publish();
///
/// All functions throw attest::Error for a case that breaks a rule and InfraError when the disk
/// or HDF5 fails. After either, publish() refuses. One thread at a time may use golden files.
class GoldenWriter {
 public:
  /// Creates `.<name>.tmp.<pid>` beside the target, which must be new or a regular file.
  explicit GoldenWriter(std::filesystem::path target, Provenance provenance);
  GoldenWriter(const GoldenWriter&) = delete;
  GoldenWriter& operator=(const GoldenWriter&) = delete;

  /// Removes the temporary file unless it was published.
  ~GoldenWriter();

  /// Every problem once. Same cases in the same order give the same bytes (one zlib version).
  void add(const StoredCase&);

  /// Needs a case. Flushes, closes, syncs, reads everything back against its hashes, renames, syncs
  /// the folder.
  void publish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A golden file, open for reading.
///
/// Opening inspects all of the file but the elements and throws InfraError unless it is a golden
/// file of a version this build reads: only hard links, no external or virtual storage, no filters
/// but shuffle, deflate and fletcher32, sizes within the limits and in agreement with the problem,
/// every case under its own id, and the logical hash as recorded. The inspection runs first in a
/// child process under resource limits, because HDF5 was not made for hostile files.
class GoldenFile {
 public:
  explicit GoldenFile(std::filesystem::path path, GoldenLimits limits = {});
  GoldenFile(GoldenFile&&) noexcept;
  GoldenFile& operator=(GoldenFile&&) noexcept;
  ~GoldenFile();

  /// In ascending order.
  std::vector<std::string> case_ids() const;
  bool contains(const std::string& id) const;

  /// Everything but elements, ascending by group and name. Throws attest::Error for an unknown id.
  const std::vector<Digest>& digests(const std::string& id) const;

  /// The case with the tensors whose elements are stored; each is checked against its SHA-256.
  /// Throws attest::Error for an unknown id, InfraError for damaged elements.
  StoredCase read(const std::string& id) const;

  const Provenance& provenance() const;

  /// Identity of the content, the same for every tier, chunking and zlib version (schema.md).
  std::string logical_hash() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attest
