#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cases/error.h"
#include "golden/dataset.h"
#include "golden/golden_file.h"

namespace attest {
namespace {

using golden::Digests;
using hdf5::check;
using hdf5::Handle;

namespace fs = std::filesystem;

[[noreturn]] void fail_system(std::string_view call, const fs::path& path) {
  throw InfraError(concat("must be written to a sound disk, got `", std::strerror(errno), "` from ",
                          call, " of ", path.string(), "; check the folder, its rights and space"));
}

// A target that is a device, a pipe, a link or a folder must not give way to a file of ours.
void check_target(const fs::path& target) {
  ATTEST_CHECK(target.has_filename(), "must name a file, got no name; say which file to write");
  std::error_code unreadable;  // then creating the temporary file says why
  const fs::file_type type = fs::symlink_status(target, unreadable).type();
  const bool replaceable =
      unreadable || type == fs::file_type::not_found || type == fs::file_type::regular;
  if (!replaceable)
    throw InfraError(concat("must be a new file or replace one, got ",
                            type == fs::file_type::directory ? "a folder" : "a link or a device",
                            "; choose another name"));
}

// Creates the temporary file; its name is new even beside other writers of the same target.
fs::path create_temporary(const fs::path& target) {
  const std::string stem = concat(".", target.filename().string(), ".tmp.", getpid());
  for (int n = 0;; ++n) {
    const fs::path path = target.parent_path() / (n == 0 ? stem : concat(stem, ".", n));
    const int file = open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (file < 0 && errno == EEXIST) continue;
    if (file < 0) fail_system("open", path);
    close(file);
    return path;
  }
}

void sync(const fs::path& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail_system("open", path);
  const int status = fsync(file);
  close(file);
  if (status != 0) fail_system("fsync", path);
}

Handle create_file(const fs::path& path) {
  const Handle access = hdf5::property_list(H5P_FILE_ACCESS);
  check(H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18), "H5Pset_libver_bounds");
  check(H5Pset_file_locking(access, false, true), "H5Pset_file_locking");
  const Handle creation = hdf5::timeless_property_list(H5P_FILE_CREATE);
  // Nodes of the chunk index hold 8 chunks rather than 64: most tensors here are one chunk, and
  // 3 KiB of empty node would outweigh it.
  check(H5Pset_istore_k(creation, 4), "H5Pset_istore_k");
  return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access), H5Fclose, "H5Fcreate"};
}

std::vector<Digest> digests_of(const StoredCase& c) {
  std::vector<const Tensor*> tensors;
  std::vector<Digest> digests;
  for (const auto& [group, set] : c.groups)
    for (const Tensor& tensor : set) {
      tensors.push_back(&tensor);
      digests.push_back({group, tensor.name(), tensor.dtype(), tensor.layout(), tensor.shape(), "",
                         c.tier == "full"});
      golden::check_tensor(c.problem, digests.back());
    }
  golden::parallel_for(static_cast<Index>(tensors.size()), [&](Index n) {
    digests[static_cast<std::size_t>(n)].sha256 = tensors[static_cast<std::size_t>(n)]->sha256();
  });
  golden::sort(digests);
  return digests;
}

void check_case(const StoredCase& c, const Digests& present) {
  validate(c.problem);
  ATTEST_CHECK(!present.count(case_id(c.problem)), "must hold each problem once, got ",
               print(c.problem), " twice");
  ATTEST_CHECK(c.tier == "full" || c.tier == "digest",
               "must hold cases of tier full or digest, got ", c.tier);
  for (const auto& [name, text] : c.attributes)
    ATTEST_CHECK(golden::is_name(name) && name != "problem" && name != "tier",
                 "must name a case's attributes with letters, digits and underscores, neither "
                 "problem nor tier, got ",
                 name);
}

void write_case(hid_t cases, const StoredCase& c, const std::vector<Digest>& digests) {
  const Handle node = hdf5::create_group(cases, case_id(c.problem));
  hdf5::write_text(node, "problem", print(c.problem));
  hdf5::write_text(node, "tier", c.tier);
  for (const auto& [name, text] : c.attributes) hdf5::write_text(node, name, text);
  for (const auto& [group_name, tensors] : c.groups) {
    const Handle group = hdf5::create_group(node, group_name);
    for (const Digest& digest : digests)
      if (digest.group == group_name) golden::write_dataset(group, tensors.at(digest.name), digest);
  }
}

}  // namespace

struct GoldenWriter::State {
  fs::path target, temporary;
  Handle file, cases;
  Digests digests;
  bool open = false;  // nothing has failed and nothing was published
  bool kept = false;  // the temporary file has become the target

  template <class Action>
  void step(const Action& action) {
    try {
      ATTEST_CHECK(open, "must be written anew, got a writer that failed or has published");
      open = false;
      action();
      open = true;
    } catch (const InfraError& error) {
      throw InfraError(concat("golden: ", target.string(), " ", error.what()));
    } catch (const Error& error) {
      throw Error(concat("golden: ", target.string(), " ", error.what()));
    }
  }

  ~State() {
    cases = Handle();
    file = Handle();
    if (!kept && !temporary.empty()) unlink(temporary.c_str());
  }
};

GoldenWriter::GoldenWriter(fs::path target, Provenance provenance)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.target = target.empty() ? target : fs::absolute(target);
  s.open = true;
  s.step([&] {
    hdf5::prepare();
    check_target(s.target);
    s.temporary = create_temporary(s.target);
    s.file = create_file(s.temporary);
    const Handle root(H5Gopen2(s.file, "/", H5P_DEFAULT), H5Gclose, "H5Gopen2");
    hdf5::write_text(root, "format", golden::kFormat);
    hdf5::write_integers(root, "format_version", std::array{golden::kMajor, golden::kMinor});
    hdf5::write_text(root, "producer", provenance.producer);
    hdf5::write_text(root, "profile", provenance.profile);
    hdf5::write_text(root, "created_by_command", provenance.command);
    hdf5::write_text(root, "rng", golden::kRng);
    s.cases = hdf5::create_group(s.file, "cases");
  });
}

GoldenWriter::~GoldenWriter() = default;

void GoldenWriter::add(const StoredCase& c) {
  State& s = *state_;
  s.step([&] {
    check_case(c, s.digests);
    std::vector<Digest> digests = digests_of(c);
    write_case(s.cases, c, digests);
    s.digests.emplace(case_id(c.problem), std::move(digests));
  });
}

void GoldenWriter::publish() {
  State& s = *state_;
  s.step([&] {
    ATTEST_CHECK(!s.digests.empty(), "must hold at least one case, got none; add one");
    const std::string hash = golden::logical_hash(s.digests);
    hdf5::write_text(s.file, "logical_hash", hash);
    s.cases.close();
    check(H5Fflush(s.file, H5F_SCOPE_GLOBAL), "H5Fflush");
    s.file.close();  // says nothing of a full disk, hence the reading back
    sync(s.temporary);
    const GoldenFile written(s.temporary, {.isolate = false});
    if (written.logical_hash() != hash)
      throw InfraError(
          "must read back as it was written, got another logical hash; check the disk");
    for (const std::string& id : written.case_ids()) written.read(id);
    if (rename(s.temporary.c_str(), s.target.c_str()) != 0) fail_system("rename", s.target);
    s.kept = true;
    sync(s.target.parent_path());
  });
  s.open = false;
}

}  // namespace attest
