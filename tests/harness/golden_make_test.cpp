#include "harness/golden_make.h"

#include <unistd.h>

#include <filesystem>

#include "cases/error.h"
#include "golden/golden_file.h"
#include "harness/run_case.h"
#include "tests/catch.h"

using namespace attest;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  fs::path path = fs::temp_directory_path() / concat("attest_golden_make_", ::getpid());
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
};

StoredCase healthy() {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=7 H=4 G=2 D=16 dtype=bf16 mask=causal seed=4");
  const Question question = pose(p);
  return {.problem = p,
          .tier = "full",
          .groups = {{"inputs", question.inputs},
                     {"outputs", question.truth.outputs},
                     {"conditioning", question.truth.conditioning}},
          .attributes = {}};
}

std::vector<GoldenDifference> verified(const StoredCase& stored) {
  const Scratch scratch;
  GoldenWriter writer(scratch.path / "a.h5", {"test", "test", "test"});
  writer.add(stored);
  writer.publish();
  return verify_golden(scratch.path / "a.h5");
}

}  // namespace

TEST_CASE("verify finds nothing in what generate writes") { CHECK(verified(healthy()).empty()); }

TEST_CASE("verify names each tensor whose values are not the right ones") {
  for (const auto& [group, name] : {std::pair{"outputs", "o"},
                                    {"outputs", "lse"},
                                    {"conditioning", "abs_mag"},
                                    {"conditioning", "second_moment"},
                                    {"conditioning", "row_sum"}}) {
    StoredCase stored = healthy();
    double& value = stored.groups.at(group).at(name).as<double>()[9];
    value = value * 5 + 1e-6;
    const auto differences = verified(stored);
    CAPTURE(group, name);
    REQUIRE(differences.size() == 1);
    CHECK(differences[0].tensor == concat(group, '/', name));
    CHECK_THAT(differences[0].message, Catch::Contains("element 9 must be"));
  }
}

TEST_CASE("verify refuses a file that cannot be computed again, and says what is missing") {
  StoredCase candidate = healthy();
  candidate.groups.erase("inputs");
  CHECK_THROWS_WITH(verified(candidate), Catch::Contains("must store inputs/q"));
  CHECK_THROWS_AS(verified(candidate), InfraError);
}
