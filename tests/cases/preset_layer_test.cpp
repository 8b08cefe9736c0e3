#include "cases/preset_layer.h"

#include <fstream>

#include "cases/error.h"
#include "cases/stages.h"
#include "tests/catch.h"

using namespace attest;

namespace {

std::vector<Preset> presets() {
  return load_presets(std::filesystem::path(ATTEST_SOURCE_DIR) / "cases/presets");
}

}  // namespace

TEST_CASE("a preset's layer has its dimensions, norms, biases and rotation") {
  const auto all = presets();
  CHECK(print(layer_of(find_preset(all, "deepseek-v3"), {.Sk = 512})) ==
        "mla B=1 Sq=1 Sk=512 H=128 G=128 D=192 Dv=128 dtype=bf16 level=layer E=7168 L=512 Lq=1536 "
        "form=absorbed Dr=64 rope=yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1 "
        "mask=causal");
  CHECK(print(layer_of(find_preset(all, "qwen3-8b"), {.B = 2, .Sq = 7, .Sk = 9})) ==
        "gqa B=2 Sq=7 Sk=9 H=32 G=8 D=128 dtype=bf16 level=layer E=4096 norm=rms "
        "rope=default:theta:1e+06 mask=causal");
  CHECK(layer_of(find_preset(all, "falcon-7b"), {}).variant == Variant::mqa);
  CHECK(layer_of(find_preset(all, "deepseek-v3"), {.Sq = 8, .Sk = 8}).form == Form::expanded);
}

TEST_CASE("every preset becomes a valid layer or says what it has beyond one") {
  Index layers = 0;
  for (const Preset& preset : presets()) {
    CAPTURE(preset.name);
    if (missing_in_layer(preset).empty()) {
      const Problem p = layer_of(preset, {.Sk = 64});
      CHECK(parse_problem(print(p)) == p);
      ++layers;
    } else {
      CHECK_THROWS_AS(layer_of(preset, {.Sk = 64}), Error);
    }
  }
  CHECK(layers >= 38);
}

TEST_CASE("layers of the gate and the nightly tier are those of the presets that they name") {
  const auto* file = GENERATE("ci/gate.list", "ci/nightly.list");
  std::ifstream list(std::filesystem::path(ATTEST_SOURCE_DIR) / file);
  const auto all = presets();
  Index layers = 0;
  for (std::string line; std::getline(list, line);) {
    const std::size_t comment = line.find("  # ");
    if (comment == std::string::npos) continue;
    CAPTURE(line);
    const Problem p = parse_problem(line.substr(0, comment));
    CHECK(print(p) == print(layer_of(find_preset(all, line.substr(comment + 4)),
                                     {.B = p.B, .Sq = p.Sq, .Sk = p.Sk, .dtype = p.dtype})));
    ++layers;
  }
  CHECK(layers >= 10);
}

TEST_CASE("the projections of a layer of DeepSeek-V3 hold the parameters that the model has") {
  const Problem p = layer_of(find_preset(presets(), "deepseek-v3"), {.Sk = 64});
  Index weights = 0;
  for (const TensorSpec& spec : layer_weights(p)) {
    Index size = spec.name == "x" ? 0 : 1;
    for (const Index extent : spec.shape) size *= extent;
    weights += size;
  }
  CHECK(weights == 187105280 + 2048);
}
