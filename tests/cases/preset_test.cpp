// The models and stand-ins that are shipped, and what the loader refuses.
#include "cases/preset.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;
namespace fs = std::filesystem;

namespace {

const std::vector<Preset>& shipped() {
  static const std::vector<Preset> presets =
      load_presets(fs::path(ATTEST_SOURCE_DIR) / "cases/presets");
  return presets;
}

const Preset& shipped(std::string_view name) { return find_preset(shipped(), name); }

std::string message(std::string_view yaml) {
  try {
    parse_presets(yaml, "x.yaml");
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

const std::string kDense =
    "- name: a\n  source: s\n  verified: true\n"
    "  shape: {layers: 2, E: 8, H: 4, G: 2, D: 2}\n  rope: default\n";
const std::string kLatent =
    "- name: a\n  kind: standin\n"
    "  shape: {layers: 2, E: 8, H: 4, L: 6, Dn: 3, Dr: 2, Dv: 5}\n  rope: default\n";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

/// Layers, E, H, G, D, Dv, Lq, L, Dn, Dr.
std::vector<Index> shape(const Preset& p) {
  return {p.layers, p.E, p.H, p.G, p.D, p.Dv, p.Lq, p.L, p.Dn, p.Dr};
}

}  // namespace

TEST_CASE("every shipped preset has a name of its own") {
  std::set<std::string> names;
  for (const Preset& preset : shipped()) names.insert(preset.name);
  CHECK(names.size() == shipped().size());
  CHECK(names.size() == 59);
}

TEST_CASE("models have the dimensions that are published") {
  using Row = std::pair<std::string, std::vector<Index>>;
  const auto [name, expected] = GENERATE(values<Row>({
      {"gpt-3-175b", {96, 12288, 96, 96, 128, 128, 0, 0, 0, 0}},
      {"bert-large", {24, 1024, 16, 16, 64, 64, 0, 0, 0, 0}},
      {"t5-11b", {24, 1024, 128, 128, 128, 128, 0, 0, 0, 0}},
      {"llama-1-33b", {60, 6656, 52, 52, 128, 128, 0, 0, 0, 0}},
      {"llama-2-70b", {80, 8192, 64, 8, 128, 128, 0, 0, 0, 0}},
      {"llama-3-8b", {32, 4096, 32, 8, 128, 128, 0, 0, 0, 0}},
      {"llama-3.1-405b", {126, 16384, 128, 8, 128, 128, 0, 0, 0, 0}},
      {"llama-3.2-3b", {28, 3072, 24, 8, 128, 128, 0, 0, 0, 0}},
      {"qwen2.5-7b", {28, 3584, 28, 4, 128, 128, 0, 0, 0, 0}},
      {"qwen3-0.6b", {28, 1024, 16, 8, 128, 128, 0, 0, 0, 0}},
      {"qwen3-235b-a22b", {94, 4096, 64, 4, 128, 128, 0, 0, 0, 0}},
      {"palm-540b", {118, 18432, 48, 1, 256, 256, 0, 0, 0, 0}},
      {"falcon-7b", {32, 4544, 71, 1, 64, 64, 0, 0, 0, 0}},
      {"falcon-180b", {80, 14848, 232, 8, 64, 64, 0, 0, 0, 0}},
      {"starcoder-15b", {40, 6144, 48, 1, 128, 128, 0, 0, 0, 0}},
      {"gemma-2-27b", {46, 4608, 32, 16, 128, 128, 0, 0, 0, 0}},
      {"gemma-3-1b", {26, 1152, 4, 1, 256, 256, 0, 0, 0, 0}},
      {"gpt-oss-120b", {36, 2880, 64, 8, 64, 64, 0, 0, 0, 0}},
      {"deepseek-v2", {60, 5120, 128, 128, 192, 128, 1536, 512, 128, 64}},
      {"deepseek-v2-lite", {27, 2048, 16, 16, 192, 128, 0, 512, 128, 64}},
      {"deepseek-v3", {61, 7168, 128, 128, 192, 128, 1536, 512, 128, 64}},
      {"kimi-k2", {61, 7168, 64, 64, 192, 128, 1536, 512, 128, 64}},
      {"tiny-mla", {2, 64, 4, 4, 24, 40, 32, 48, 16, 8}},
  }));
  CAPTURE(name);
  CHECK(shape(shipped(name)) == expected);
}

TEST_CASE("numbers that nobody compared with a primary file are marked") {
  const std::set<std::string> unverified = {
      "gpt-3-13b",   "gpt-3-175b",  "bert-large",  "t5-large",      "t5-11b",      "llama-1-7b",
      "llama-1-13b", "llama-1-33b", "llama-1-65b", "starcoder-15b", "qwen2.5-72b", "palm-540b"};
  const std::set<std::string> partly = {"deepseek-v2", "kimi-k2"};
  for (const Preset& preset : shipped()) {
    CAPTURE(preset.name);
    CHECK((preset.verified == Preset::Verified::no) == unverified.contains(preset.name));
    CHECK((preset.verified == Preset::Verified::partly) == partly.contains(preset.name));
    CHECK(!preset.source.empty());
  }
}

TEST_CASE("positions, windows and scales are those of the models") {
  const Rope v3 = shipped("deepseek-v3").rope;
  CHECK(print(v3) == "yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1");
  CHECK((v3.beta_fast == 32 && v3.beta_slow == 1 && v3.mscale == 1 && v3.theta == 10000));
  CHECK(shipped("kimi-k2").rope.beta_fast == 1);
  CHECK(shipped("kimi-k2").rope.theta == 50000);
  CHECK(shipped("deepseek-v2").rope.mscale == 0.707);
  CHECK(shipped("llama-3-8b").rope.kind == RopeKind::unscaled);
  CHECK(shipped("llama-3.1-8b").rope.factor == 8);
  CHECK(shipped("llama-3.2-1b").rope.factor == 32);
  CHECK(!shipped("gpt-oss-20b").rope.truncate);
  CHECK(shipped("gemma-3-1b").rope.theta == 1e6);
  CHECK(shipped("gemma-3-1b").rope_windowed->theta == 1e4);
  CHECK(shipped("bert-large").rope.kind == RopeKind::none);

  CHECK(shipped("llama-3-8b").windowed_layers() == 0);
  CHECK(shipped("mistral-7b-v0.1").windowed_layers() == 32);
  CHECK(shipped("mistral-7b-v0.3").windowed_layers() == 0);
  CHECK(shipped("gemma-2-27b").windowed_layers() == 23);
  CHECK(shipped("gemma-3-1b").windowed_layers() == 22);  // 26 layers; 6, 12, 18, 24 are global
  CHECK(shipped("gpt-oss-20b").windowed_layers() == 12);

  CHECK(shipped("t5-large").scale_width == 1);
  CHECK(shipped("gemma-2-9b").scale_width == 256);
  CHECK(shipped("gemma-2-27b").scale_width == 144);
  CHECK(shipped("gemma-3-27b").scale_width == 168);
  CHECK(shipped("deepseek-v3").scale_width == 192);
}

TEST_CASE("dimensions of a stand-in differ, so that two swapped ones fail") {
  int standins = 0;
  for (const Preset& p : shipped()) {
    if (p.kind != Preset::Kind::standin) continue;
    ++standins;
    CAPTURE(p.name);
    const std::vector<Index> dims = p.is_mla()
                                        ? std::vector<Index>{p.E, p.H, p.L, p.Dn, p.Dr, p.Dv, p.Lq}
                                        : std::vector<Index>{p.E, p.H, p.G, p.D};
    CHECK(std::set<Index>(dims.begin(), dims.end()).size() == dims.size());
    CHECK(p.H * p.Dv != p.E);
    CHECK(p.E <= 80);
  }
  CHECK(standins == 7);
}

TEST_CASE("what the loader does not understand is an error with line and column") {
  CHECK(message(kDense) == "accepted");
  CHECK(message(kLatent) == "accepted");
  const auto [base, from, to, expected] =
      GENERATE(table<std::string, std::string, std::string, std::string>({
          {kDense, "  rope: default\n", "  rope: default\n  colour: red\n",
           "x.yaml:6:3: a key of a preset must be one of"},
          {kDense, "source: s", "source: [s]", "x.yaml:2:11: source must be a scalar"},
          {kDense, "  source: s\n", "", "x.yaml:1:3: a preset must have source"},
          {kDense, "true", "maybe", "x.yaml:3:13: verified must be one of false partly true"},
          {kDense, "true", "partly", "x.yaml:3:13: verified: partly must come with a note"},
          {kDense, "name: a", "name: A", "x.yaml:1:9: a name must have only letters"},
          {kDense, "name: a", "name: ''", "x.yaml:1:9: name must not be empty"},
          {kDense, "H: 4", "H: 5", "x.yaml:4:37: H must be a multiple of G, got H=5 G=2"},
          {kDense, "D: 2", "D: 3", "x.yaml:5:9: rope: "},
          {kDense, "D: 2", "D: two", "x.yaml:4:43: D must be a whole number"},
          {kDense, "D: 2", "D: 2, Dv: 2", "x.yaml:4:46: a key of shape must be one of"},
          {kDense, "E: 8", "E: 0", "x.yaml:4:25: E must be a whole number in [1, "},
          {kDense, ", G: 2", "", "x.yaml:4:10: shape must have G"},
          {kDense, "G: 2", "L: 2", "x.yaml:4:10: shape must have Dn"},
          {kDense, "rope: default", "rope: none", "x.yaml:5:9: rope: must not be none"},
          {kDense, "rope: default", "rope: spiral", "x.yaml:5:9: rope"},
          {kDense, "rope: default", "note: n", "must have either rope or positions, got none"},
          {kDense, "rope: default", "positions: rope", "x.yaml:5:14: positions must be one of"},
          {kDense, "rope: default", "rope: default\n  sinks: yes", "must be one of true false"},
          {kDense, "rope: default", "rope: default\n  softcap: 5x", "x.yaml:6:12: softcap must"},
          {kDense, "rope: default", "rope: default\n  softcap: nan", "x.yaml:6:12: softcap must"},
          {kDense, "rope: default", "rope: default\n  window: 5", "window must be a map, got 5"},
          {kDense, "rope: default", "rope: default\n  window: {size: 5, global_every: 1}",
           "x.yaml:6:35: global_every must be a whole number in [2, "},
          {kDense, "rope: default", "rope: default\n  rope_windowed: default",
           "rope_windowed must come with a window"},
          {kLatent, "L: 6", "G: 2, L: 6", "x.yaml:3:34: a key of shape must be one of"},
          {kLatent, "Dr: 2", "Dr: 3", "Dr must be even, got 3"},
          {kLatent, "rope: default", "positions: learned", "MLA must have rope"},
          {kLatent, "rope: default", "rope: default\n  qk_norm: rms", "MLA must have no"},
          {kLatent, "rope: default", "rope: default\n  window: {size: 5}", "no window"},
      }));
  CAPTURE(from, to);
  CHECK_THAT(message(replaced(base, from, to)), Catch::Contains(expected));
}

TEST_CASE("a file of presets must be a list of maps with names of their own") {
  CHECK_THAT(message("name: a\n"), Catch::Contains("a preset file must be a list"));
  CHECK_THAT(message("- a\n"), Catch::Contains("x.yaml:1:3: a preset must be a map"));
  CHECK_THAT(message(kDense + kDense),
             Catch::Contains("x.yaml:6:3: a name must be given once, got a, which stands at "
                             "x.yaml:1:3 too"));
}

TEST_CASE("two files of a folder must not give one name, and a folder must have files") {
  std::string name = (fs::temp_directory_path() / "attest-presets-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()));
  const fs::path folder = name;
  CHECK_THROWS_AS(load_presets(folder), InfraError);
  CHECK_THROWS_AS(load_presets(folder / "absent"), InfraError);
  std::ofstream(folder / "one.yaml") << kDense;
  CHECK(load_presets(folder).size() == 1);
  std::ofstream(folder / "two.yaml") << kLatent;
  CHECK_THROWS_WITH(load_presets(folder), Catch::Contains("two.yaml:1:3: a name must be given"));
  fs::remove_all(folder);
}

TEST_CASE("a name that is not known is answered with similar ones") {
  const auto near = [](std::string_view name) {
    try {
      return find_preset(shipped(), name).name;
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  CHECK(near("deepseek-v3") == "deepseek-v3");
  CHECK_THAT(near("deepsek-v3"), Catch::Contains("similar names: deepseek-v3, deepseek-v2;"));
  CHECK_THAT(near("kimi"), Catch::Contains("similar names: kimi-k2;"));
  CHECK_THAT(near("zzz"), !Catch::Contains("similar"));
  CHECK_THAT(near("zzz"), Catch::Contains("got zzz; all names: attest cache --list"));
}
