#include "harness/golden_make.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cases/error.h"
#include "golden/golden_file.h"
#include "harness/golden_truth.h"
#include "harness/inputs.h"
#include "tests/catch.h"

using namespace attest;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  fs::path path = fs::temp_directory_path() / concat("attest_golden_make_", ::getpid());
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
};

const std::string kCore = "gqa B=2 Sq=3 Sk=7 H=4 G=2 D=16 dtype=bf16 mask=causal seed=4";
const std::string kLayer =
    "gqa B=2 Sq=2 Sk=11 H=4 G=2 D=8 dtype=fp16 level=layer E=24 norm=rms bias=all gate=1 "
    "rope=default lens=11,6 page=4 mask=causal";
const std::string kAbsorbed =
    "mla B=1 Sq=3 Sk=9 H=4 D=24 Dv=20 dtype=bf16 level=layer E=40 L=48 Lq=32 form=absorbed Dr=8 "
    "rope=yarn:factor:40,orig:4096,mscale_all_dim:1 mask=causal";

StoredCase healthy(const std::string& text = kCore) {
  const Problem p = parse_problem(text);
  const TensorSet inputs = make_inputs(p);
  const Truth truth = golden_truth(p, inputs);
  return {.problem = p,
          .tier = "full",
          .groups = {{"inputs", inputs},
                     {"outputs", truth.outputs},
                     {"conditioning", truth.conditioning}},
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

TEST_CASE("verify finds nothing in what generate writes") {
  for (const std::string& text : {kCore, kLayer, kAbsorbed}) {
    CAPTURE(text);
    CHECK(verified(healthy(text)).empty());
  }
}

TEST_CASE("a layer's golden has every cache as it is after the call") {
  const StoredCase stored = healthy(kLayer);
  const Problem& p = stored.problem;
  const Tensor &before = stored.groups.at("inputs").at("k_cache"),
               &after = stored.groups.at("outputs").at("k_cache");
  const auto table = stored.groups.at("inputs").at("block_table").as<std::int32_t>();
  CHECK(after.shape() == before.shape());
  Index tokens = 0, kept = 0;
  for (Index row = 0; row < after.size() / 16; ++row) {
    tokens += !std::isnan(after.value(row * 16));
    kept += !std::isnan(before.value(row * 16)) && after.value(row * 16) == before.value(row * 16);
  }
  CHECK(tokens == 17);  // lens
  CHECK(kept == 13);    // all but two new tokens of each
  for (Index b = 0; b < p.B; ++b) {
    const Index j = p.length(b) - 1;  // the last token, just appended
    const Index row = table[static_cast<std::size_t>(b * p.table_width() + j / 4)] * 4 + j % 4;
    CHECK(std::isfinite(after.value(row * 16 + 15)));
    CHECK(std::isnan(before.value(row * 16 + 15)));
  }
}

TEST_CASE("verify names each output of a layer that is not the right one") {
  for (const std::string& text : {kLayer, kAbsorbed})
    for (const std::string& name : golden_output_names(parse_problem(text))) {
      CAPTURE(text, name);
      StoredCase stored = healthy(text);
      const auto values = stored.groups.at("outputs").at(name).as<double>();
      const auto at = std::ranges::find_if(values, [](double x) { return std::isfinite(x); });
      *at += 1e-9;
      const auto differences = verified(stored);
      REQUIRE(differences.size() == 1);
      CHECK(differences[0].tensor == concat("outputs/", name));
      *at = std::nan("");
      CHECK(verified(stored).size() == 1);
    }
}

TEST_CASE("verify names a weight whose bits are not those of the seed") {
  StoredCase stored = healthy(kAbsorbed);
  stored.groups.at("inputs").at("w_ukv").as<std::uint16_t>()[7] ^= 1;
  const auto differences = verified(stored);
  REQUIRE(differences.size() > 1);  // what follows from it differs too
  CHECK(differences[0].tensor == "inputs/w_ukv");
}

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

TEST_CASE("verify is as sharp where scores are capped") {
  StoredCase stored = healthy(kCore + " softcap=3");
  CHECK(verified(stored).empty());
  stored.groups.at("outputs").at("o").as<double>()[9] += 1e-11;
  const auto differences = verified(stored);
  REQUIRE(differences.size() == 1);
  CHECK(differences[0].tensor == "outputs/o");
}

TEST_CASE("verify refuses a file that cannot be computed again, and says what is missing") {
  StoredCase candidate = healthy();
  candidate.groups.erase("inputs");
  CHECK_THROWS_WITH(verified(candidate), Catch::Contains("must store inputs/q"));
  CHECK_THROWS_AS(verified(candidate), InfraError);
  StoredCase layer = healthy(kLayer);
  layer.groups.erase("outputs");
  CHECK_THROWS_WITH(verified(layer), Catch::Contains("must store outputs/q_rot"));
}
