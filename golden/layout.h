#pragma once

// What golden/schema.md fixes, apart from bytes: names, shapes, hashes. No HDF5 in this file.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "golden/golden_file.h"

namespace attest::golden {

constexpr std::string_view kFormat = "attest-golden";
constexpr Index kMajor = 1, kMinor = 0;
constexpr std::string_view kRng = "philox4x64-10";
constexpr std::size_t kMaxRank = 8;

/// Letters, digits and underscores, 1 to 64 of them.
bool is_name(std::string_view);

struct NamedShape {
  std::string layout;
  std::vector<Index> shape;
};

/// Shape that the format fixes for `group`/`name`; nothing for names it does not know.
std::optional<NamedShape> fixed_shape(const Problem& problem, const std::string& group,
                                      const std::string& name);

/// Throws attest::Error (text `must ..., got ...`) unless the tensor fits the problem.
void check_tensor(const Problem& problem, const Digest& tensor);

/// Bytes of the elements. Throws attest::Error when a case's limit is passed, without overflow.
std::uint64_t byte_count(const Digest& tensor, std::uint64_t limit);

/// Tensors of each case, by case id.
using Digests = std::map<std::string, std::vector<Digest>>;

/// Orders by group and name, which is the order of hashing and of reading.
void sort(std::vector<Digest>& tensors);

/// SHA-256 over, for each case in ascending order of ids, the line `<id>` and then for each tensor
/// in order the line `<group>/<name> <sha256>`, each ended by a line feed. Tensors must be sorted.
std::string logical_hash(const Digests& cases);

}  // namespace attest::golden
