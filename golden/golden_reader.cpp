#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "cases/error.h"
#include "golden/dataset.h"
#include "golden/golden_file.h"
#include "golden/isolate.h"

namespace attest {
namespace {

using golden::Digests;
using golden::Inspected;
using hdf5::Handle;

constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";  // HDF5 file format, section II.A
constexpr Index kMaxLinks = 4096;                             // of a case and of a group of tensors

/// What the first look at a file finds.
struct Contents {
  Handle file;
  Provenance provenance;
  std::string logical_hash;
  std::map<std::string, Problem> problems;
  Digests digests;
};

// Runs an action and says before what it throws where that was.
template <class Action>
auto located(const std::string& where, const Action& action) {
  try {
    return action();
  } catch (const std::exception& error) {
    throw InfraError(concat(where, " ", error.what()));
  }
}

template <class Action>
auto named(const std::filesystem::path& path, const Action& action) {
  return located("golden: " + path.string(), action);
}

void check_signature(const std::filesystem::path& path) {
  std::error_code closed;  // a folder on the way that may not be entered
  const std::filesystem::file_status status = std::filesystem::status(path, closed);
  if (std::filesystem::status_known(status) && !std::filesystem::is_regular_file(status))
    throw InfraError(concat("must be a file, got ",
                            std::filesystem::exists(status) ? "something else" : "nothing",
                            "; run attest golden generate"));
  std::array<char, kSignature.size()> start{};
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw InfraError(
        concat("must be readable, got `", std::strerror(errno), "`; check its rights"));
  file.read(start.data(), start.size());
  if (std::string_view(start.data(), start.size()) != kSignature)
    throw InfraError(
        "must be an HDF5 file, got one without its signature; run attest golden "
        "generate");
}

Handle open_file(const std::filesystem::path& path) {
  const Handle list = hdf5::property_list(H5P_FILE_ACCESS);
  // A published file never changes, and some file systems cannot lock.
  hdf5::check(H5Pset_file_locking(list, false, true), "H5Pset_file_locking");
  return {H5Fopen(path.c_str(), H5F_ACC_RDONLY, list), H5Fclose, "H5Fopen"};
}

void check_format(hid_t root) {
  if (const std::string format = hdf5::read_text(root, "format"); format != golden::kFormat)
    throw InfraError(concat("must say format=", golden::kFormat, ", got ", format,
                            "; run attest golden generate"));
  const std::vector<Index> version = hdf5::read_integers(root, "format_version");
  if (version.size() != 2)
    throw InfraError(concat("must say its format_version as two numbers, got ", version.size(),
                            "; run attest golden generate"));
  if (version[0] != golden::kMajor)
    throw InfraError(concat("has format ", version[0], ".", version[1], ", this build reads ",
                            golden::kMajor, ".", golden::kMinor, "; run attest golden generate"));
}

void check_tier(const std::string& tier, const std::vector<Digest>& digests) {
  if (tier != "full" && tier != "digest")
    throw InfraError(concat("must be of tier full or digest, got ", tier, "; make the file again"));
  for (const Digest& digest : digests)
    if (digest.stored != (tier == "full"))
      throw InfraError(
          concat("must store the elements of all tensors of a full case and of none "
                 "of a digest, got ",
                 digest.group, "/", digest.name, " in tier ", tier, "; make the file again"));
}

Problem read_problem(hid_t node, const std::string& id) {
  const std::string text = hdf5::read_text(node, "problem");
  const Problem problem = parse_problem(text);
  if (print(problem) != text || case_id(problem) != id)
    throw InfraError(concat("must keep each case under the id of its canonical problem, got ", id,
                            " for ", text, "; make the file again"));
  return problem;
}

void inspect_case(Contents& contents, hid_t node, const std::string& id,
                  const GoldenLimits& limits) {
  const Problem problem = read_problem(node, id);
  std::vector<Digest> digests;
  std::uint64_t bytes_left = limits.max_case_bytes;
  for (const std::string& group_name : hdf5::hard_links(node, kMaxLinks)) {
    const Handle group = hdf5::open_group(node, group_name);
    for (const std::string& name : hdf5::hard_links(group, kMaxLinks)) {
      const Handle dataset = hdf5::open_dataset(group, name);
      Inspected inspected = golden::inspect_dataset(dataset, group_name, name, bytes_left);
      golden::check_tensor(problem, inspected.digest);
      if (inspected.digest.stored) bytes_left -= golden::byte_count(inspected.digest, bytes_left);
      digests.push_back(std::move(inspected.digest));
    }
  }
  golden::sort(digests);
  check_tier(hdf5::read_text(node, "tier"), digests);
  contents.problems.emplace(id, problem);
  contents.digests.emplace(id, std::move(digests));
}

Contents inspect(const std::filesystem::path& path, const GoldenLimits& limits) {
  check_signature(path);
  hdf5::prepare();
  Contents contents;
  contents.file = open_file(path);
  const Handle root(H5Gopen2(contents.file, "/", H5P_DEFAULT), H5Gclose, "H5Gopen2");
  check_format(root);
  contents.provenance = {hdf5::read_text(root, "producer"), hdf5::read_text(root, "profile"),
                         hdf5::read_text(root, "created_by_command")};
  if (const auto links = hdf5::hard_links(root, kMaxLinks);
      links != std::vector<std::string>{"cases"})
    throw InfraError(concat("must hold the group cases and nothing beside it, got ", links.size(),
                            " links; run attest golden generate"));
  const Handle cases = hdf5::open_group(root, "cases");
  for (const std::string& id : hdf5::hard_links(cases, limits.max_cases))
    located("case " + id, [&] { inspect_case(contents, hdf5::open_group(cases, id), id, limits); });
  contents.logical_hash = hdf5::read_text(root, "logical_hash");
  if (const auto hash = golden::logical_hash(contents.digests); hash != contents.logical_hash)
    throw InfraError(concat("must hold exactly the tensors of its logical hash ",
                            contents.logical_hash, ", got ", hash, "; make the file again"));
  if (contents.digests.empty())
    throw InfraError("must hold at least one case, got none; run attest golden generate");
  return contents;
}

}  // namespace

struct GoldenFile::State {
  std::filesystem::path path;
  GoldenLimits limits;
  Contents contents;

  void check_id(const std::string& id) const {
    ATTEST_CHECK(contents.problems.count(id), "golden: ", path.string(),
                 " must hold the case, got ", id, " for a file of ", contents.problems.size(),
                 " cases; see attest golden generate");
  }
};

GoldenFile::GoldenFile(std::filesystem::path path, GoldenLimits limits) {
  named(path, [&] {
    if (limits.isolate) golden::isolate([&] { inspect(path, limits); }, limits);
    state_ = std::make_unique<State>(State{path, limits, inspect(path, limits)});
  });
}

GoldenFile::GoldenFile(GoldenFile&&) noexcept = default;
GoldenFile& GoldenFile::operator=(GoldenFile&&) noexcept = default;
GoldenFile::~GoldenFile() = default;

std::vector<std::string> GoldenFile::case_ids() const {
  std::vector<std::string> ids;
  for (const auto& [id, problem] : state_->contents.problems) ids.push_back(id);
  return ids;
}

bool GoldenFile::contains(const std::string& id) const {
  return state_->contents.problems.count(id) > 0;
}

const std::vector<Digest>& GoldenFile::digests(const std::string& id) const {
  state_->check_id(id);
  return state_->contents.digests.at(id);
}

StoredCase GoldenFile::read(const std::string& id) const {
  state_->check_id(id);
  return named(state_->path, [&] {
    StoredCase result;
    result.problem = state_->contents.problems.at(id);
    const Handle node(H5Gopen2(state_->contents.file, concat("/cases/", id).c_str(), H5P_DEFAULT),
                      H5Gclose, "H5Gopen2");
    for (const std::string& name : hdf5::attribute_names(node))
      if (name != "problem") result.attributes[name] = hdf5::read_text(node, name);
    result.tier = result.attributes.at("tier");
    result.attributes.erase("tier");
    for (const Digest& digest : state_->contents.digests.at(id)) {
      if (!digest.stored) continue;
      const Handle group = hdf5::open_group(node, digest.group);
      const Handle dataset = hdf5::open_dataset(group, digest.name);
      const Inspected inspected = golden::inspect_dataset(dataset, digest.group, digest.name,
                                                          state_->limits.max_case_bytes);
      const std::string where = concat("case ", id, " ", digest.group, "/", digest.name);
      result.groups[digest.group].add(
          located(where, [&] { return golden::read_dataset(dataset, inspected); }));
    }
    return result;
  });
}

const Provenance& GoldenFile::provenance() const { return state_->contents.provenance; }

std::string GoldenFile::logical_hash() const { return state_->contents.logical_hash; }

}  // namespace attest
