// What the shipped tiers cover of the shipped matrices.
#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include "cases/coverage.h"
#include "cases/matrix.h"
#include "tests/catch.h"

using namespace attest;

namespace {

const std::filesystem::path kRoot = ATTEST_SOURCE_DIR;

/// Those of every file in cases/.
std::vector<Block> shipped_blocks() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot / "cases"))
    if (entry.path().extension() == ".yaml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return load_blocks(files);
}

}  // namespace

TEST_CASE("the gate and the smoke tier miss no pair of any block, the nightly tier no triple") {
  for (const auto& [list, strength, least] :
       {std::tuple{"gate", 2, 170u}, {"smoke", 2, 170u}, {"nightly", 3, 1000u}}) {
    const std::filesystem::path path = kRoot / "ci" / (std::string(list) + ".list");
    const std::vector<Case> all = load_cases({path});
    for (const Block& block : load_blocks({path})) {
      CAPTURE(list, block.where);
      CHECK(coverage(block, cases(block), strength).invalid.empty());
      const CoverageReport report = coverage(block, all, strength);
      CHECK(report.covered > least);
      CHECK(report.missing.empty());
      if (!report.missing.empty()) WARN(print(block, report.missing.front()));
    }
  }
}

TEST_CASE("a case less in the nightly tier shows as the triples that only it had") {
  for (Block block : load_matrix(kRoot / "cases/layer.yaml").blocks) {
    block.coverage = Coverage::triplewise;
    block.expect = 0;
    std::vector<Case> all = cases(block);
    const Case dropped = all[all.size() / 2];
    all.erase(all.begin() + std::ssize(all) / 2);
    const auto missing = coverage(block, all, 3).missing;
    CAPTURE(block.where, print(dropped));
    CHECK(!missing.empty());
    for (const Combination& triple : missing)
      for (std::size_t n = 0; n < triple.axes.size(); ++n) {
        const Axis& axis = block.axes[static_cast<std::size_t>(triple.axes[n])];
        const auto& value = axis.values[static_cast<std::size_t>(triple.values[n])];
        for (std::size_t k = 0; k < axis.keys.size(); ++k)
          CHECK(value_of(dropped, axis.keys[k]) == value[k]);
      }
  }
}

TEST_CASE("every matrix is part of the gate or the smoke tier, and of the nightly tier") {
  const auto names = [](const std::vector<Block>& blocks) {
    std::set<std::string> result;
    for (const Block& block : blocks) result.insert(block.where);
    return result;
  };
  const auto all = names(shipped_blocks());
  CHECK(all.size() >= 32);
  CHECK(names(load_blocks({kRoot / "ci/gate.list", kRoot / "ci/smoke.list"})) == all);
  CHECK(names(load_blocks({kRoot / "ci/nightly.list"})) == all);
  for (const Block& block : load_blocks({kRoot / "ci/nightly.list"}))
    CHECK(block.coverage >= Coverage::triplewise);
}
