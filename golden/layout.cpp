#include "golden/layout.h"

#include <algorithm>
#include <tuple>

#include "cases/error.h"
#include "cases/inputs.h"
#include "cases/sha256.h"

namespace attest::golden {
namespace {

constexpr std::string_view kPerElement[] = {"abs_mag", "abs_mag_a", "abs_mag_gap", "second_moment",
                                            "visible_abs_v"};
constexpr std::string_view kPerRow[] = {"row_max", "row_sum", "mean_a",     "mean_gap",
                                        "max_a",   "max_gap", "max_raises", "visible"};

bool contains(std::span<const std::string_view> list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

std::string text(const std::vector<Index>& shape) {
  std::string result;
  for (Index extent : shape) result += concat(result.empty() ? "" : "x", extent);
  return result;
}

}  // namespace

bool is_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), allowed);
}

namespace {

std::optional<NamedShape> find_spec(const std::vector<TensorSpec>& specs, const std::string& name) {
  for (const TensorSpec& spec : specs)
    if (spec.name == name) return NamedShape{spec.layout, spec.shape};
  return std::nullopt;
}

/// Type of an input; nothing is fixed of one that the problem does not have.
std::optional<Dtype> input_dtype(const Problem& p, const std::string& name) {
  for (const TensorSpec& spec : inputs_of(p))
    if (spec.name == name) return spec.dtype;
  return std::nullopt;
}

}  // namespace

std::optional<NamedShape> fixed_shape(const Problem& p, const std::string& group,
                                      const std::string& name) {
  const bool layer = p.level == Level::layer;
  const Index attended = layer ? core_of(p).Dv : p.Dv;  // width of what conditioning is of
  const NamedShape per_element{"BSHD", {p.B, p.Sq, p.H, attended}},
      per_row{"BHS", {p.B, p.H, p.Sq}};
  if (group == "inputs") return find_spec(inputs_of(p), name);
  if (group == "outputs" || group == "got" || group == "bound") {
    if (layer) return find_spec(layer_outputs(p), name);
    if (name == "o") return per_element;
    if (name == "lse") return per_row;
  } else if (group == "conditioning") {
    if (contains(kPerElement, name)) return per_element;
    if (contains(kPerRow, name)) return per_row;
  }
  return std::nullopt;
}

void check_tensor(const Problem& problem, const Digest& tensor) {
  const std::string path = tensor.group + "/" + tensor.name;
  ATTEST_CHECK(is_name(tensor.group) && is_name(tensor.name),
               "must name tensors with 1 to 64 letters, digits and underscores, got ", path);
  ATTEST_CHECK(!tensor.shape.empty() && tensor.shape.size() <= kMaxRank &&
                   tensor.layout.size() == tensor.shape.size(),
               "must hold tensors of 1 to ", kMaxRank, " axes with one layout letter each, got ",
               path, " with shape ", text(tensor.shape), " and layout ", tensor.layout);
  const auto fixed = fixed_shape(problem, tensor.group, tensor.name);
  if (!fixed) return;
  ATTEST_CHECK(tensor.shape == fixed->shape && tensor.layout == fixed->layout, "must hold ", path,
               " as ", fixed->layout, " ", text(fixed->shape), ", got ", tensor.layout, " ",
               text(tensor.shape), " for ", print(problem));
  if (tensor.group != "inputs") return;
  const std::optional<Dtype> dtype = input_dtype(problem, tensor.name);
  ATTEST_CHECK(tensor.dtype == dtype, "must hold ", path, " as ", torch_name(*dtype), ", got ",
               torch_name(tensor.dtype), " for ", print(problem));
}

std::uint64_t byte_count(const Digest& tensor, std::uint64_t limit) {
  std::uint64_t bytes = size_of(tensor.dtype);
  bool fits = true, empty = false;
  for (Index extent : tensor.shape) {
    ATTEST_CHECK(extent >= 0, "must hold extents of at least 0, got ", extent);
    empty = empty || extent == 0;
    fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes);
  }
  if (empty) return 0;
  ATTEST_CHECK(fits && bytes <= limit, "must hold at most ", limit,
               " further bytes in this case, got ", tensor.group, "/", tensor.name, " of shape ",
               text(tensor.shape), "; raise GoldenLimits if you trust it");
  return bytes;
}

void sort(std::vector<Digest>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const Digest& a, const Digest& b) {
    return std::tie(a.group, a.name) < std::tie(b.group, b.name);
  });
}

std::string logical_hash(const Digests& cases) {
  Sha256 hash;
  for (const auto& [id, tensors] : cases) {
    hash.add(id + "\n");
    for (const Digest& tensor : tensors)
      hash.add(concat(tensor.group, "/", tensor.name, " ", tensor.sha256, "\n"));
  }
  return hash.hex();
}

}  // namespace attest::golden
