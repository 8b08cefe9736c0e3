// Sizes of caches, parameters and operations, with numbers worked out by hand.
#include "cases/accounting.h"

#include <filesystem>
#include <limits>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

const Preset& preset(std::string_view name) {
  static const std::vector<Preset> presets =
      load_presets(std::filesystem::path(ATTEST_SOURCE_DIR) / "cases/presets");
  return find_preset(presets, name);
}

constexpr Index k128K = 131072, kMiB = 1 << 20;

Index model_bytes(std::string_view name, CacheForm form, Index length) {
  return cache_bytes(preset(name), form, {.length = length}).model;
}

/// Percent by which a model's attention block differs from another's over S tokens, if every
/// query sees every key.
double change(std::string_view name, std::string_view base, Index length) {
  const auto total = [&](std::string_view which) {
    Preset p = preset(which);
    p.causal = false;
    const AttentionFlops flops = prefill_flops(p, {.length = length});
    return static_cast<double>(flops.projections + flops.core);
  };
  return 100 * (total(name) / total(base) - 1);
}

}  // namespace

TEST_CASE("caches have the published sizes, to the byte") {
  using Row = std::tuple<std::string, CacheForm, Index, Index>;
  const auto [name, form, length, bytes] = GENERATE(values<Row>({
      {"llama-3-8b", CacheForm::mha, 8192, 4294967296},
      {"llama-3-8b", CacheForm::model, 8192, 1073741824},
      {"gqa4-32x128", CacheForm::model, 8192, 536870912},
      {"llama-3-70b", CacheForm::mha, 8192, 21474836480},
      {"llama-3-70b", CacheForm::model, 8192, 2684354560},
      {"llama-3.1-405b", CacheForm::model, 8192, 4227858432},
      {"mqa-32x128", CacheForm::model, 8192, 134217728},
      {"mha-32x128-60-layers", CacheForm::model, 8192, 8053063680},
      {"mla-32x128", CacheForm::expanded, 8192, 5368709120},
      {"mla-32x128-60-layers", CacheForm::expanded, 8192, 10066329600},
      {"mla-32x128", CacheForm::latent_without_rope, 8192, 268435456},
      {"mla-32x128-60-layers", CacheForm::latent_without_rope, 8192, 503316480},
      {"mla-32x128", CacheForm::model, 8192, 301989888},
      {"deepseek-v2", CacheForm::model, 8192, 566231040},
      {"deepseek-v3", CacheForm::model, 8192, 575668224},
      {"deepseek-v3", CacheForm::expanded, 8192, 40936407040},
      {"deepseek-v3", CacheForm::model, k128K, 9210691584},
      {"deepseek-v3", CacheForm::expanded, k128K, 654982512640},
      {"deepseek-v3", CacheForm::mha, k128K, 523986010112},
      {"deepseek-v3", CacheForm::fp8_latent, k128K, 5244977152},
      {"falcon-40b", CacheForm::model, 2048, 251658240},
      {"mqa-1x128-60-layers", CacheForm::model, 2048, 62914560},
  }));
  CAPTURE(name, length);
  CHECK(model_bytes(name, form, length) == bytes);
}

TEST_CASE("a cache grows with length, batch and the bytes of its type") {
  const Preset& p = preset("tiny-mla");  // L 48, Dr 8, Dn 16, Dv 40, H 4, 2 layers
  const CacheBytes bytes =
      cache_bytes(p, CacheForm::model, {.length = 7, .batch = 3, .dtype = Dtype::fp32});
  CHECK(bytes.token == 56 * 4);
  CHECK(bytes.layer == 56 * 4 * 7 * 3);
  CHECK(bytes.model == 56 * 4 * 7 * 3 * 2);
  CHECK(cache_elements(p, CacheForm::expanded) == 4 * (16 + 8 + 40));
  CHECK(cache_elements(p, CacheForm::mha) == 4 * (16 + 40));
  CHECK(cache_elements(p, CacheForm::latent_without_rope) == 48);
  CHECK(cache_bytes(p, CacheForm::fp8_latent, {.length = 1}).token == 48 + 4 + 2 * 8);
  CHECK(cache_elements(preset("tiny-gqa-6-2"), CacheForm::model) == 2 * 2 * 16);
  CHECK(cache_elements(preset("tiny-gqa-6-2"), CacheForm::expanded) == 2 * 6 * 16);
}

TEST_CASE("often heard sizes and ratios are held against the exact ones") {
  const auto layer = [](std::string_view name, CacheForm form) {
    return cache_bytes(preset(name), form, {.length = 8192}).layer;
  };
  // LLaMA-3 8B is GQA with 8 heads: 1 GiB. As MHA it would need 4 GiB, 4.295 GB and not 4.1.
  CHECK(model_bytes("llama-3-8b", CacheForm::mha, 8192) == 4 * model_bytes("llama-3-8b", {}, 8192));
  CHECK(model_bytes("llama-3-8b", CacheForm::mha, 8192) == 4096 * kMiB);
  // LLaMA-3 70B: 2.684 GB = 2.5 GiB, an eighth of MHA; 2.56 GB is MiB over 1000.
  CHECK(model_bytes("llama-3-70b", {}, 8192) == 2560 * kMiB);
  CHECK(model_bytes("llama-3-70b", CacheForm::mha, 8192) ==
        8 * model_bytes("llama-3-70b", {}, 8192));
  // MQA: 1/32 of MHA, 4 MiB a layer.
  CHECK(layer("mqa-32x128", CacheForm::model) == 4 * kMiB);
  CHECK(layer("mqa-32x128", CacheForm::mha) == 32 * layer("mqa-32x128", CacheForm::model));
  // MLA with 32 heads: 160 MiB expanded, more than MHA; 9 MiB of latent and rope key, not 8.
  CHECK(layer("mla-32x128", CacheForm::expanded) == 160 * kMiB);
  CHECK(layer("mla-32x128", CacheForm::mha) == 128 * kMiB);
  CHECK(layer("mla-32x128", CacheForm::model) == 9 * kMiB);
  CHECK(layer("mla-32x128", CacheForm::latent_without_rope) == 8 * kMiB);
  const auto over_latent = [&](std::string_view name, CacheForm form) {
    return static_cast<double>(layer(name, form)) /
           static_cast<double>(layer(name, CacheForm::model));
  };
  CHECK(over_latent("mla-32x128", CacheForm::expanded) == Approx(17.78).margin(0.005));  // not 20
  CHECK(over_latent("mla-32x128", CacheForm::mha) == Approx(14.22).margin(0.005));       // not 16
  // DeepSeek-V3 has 128 heads: 640 MiB a layer expanded.
  CHECK(layer("deepseek-v3", CacheForm::expanded) == 640 * kMiB);
  CHECK(layer("deepseek-v3", CacheForm::model) == 9 * kMiB);
  CHECK(over_latent("deepseek-v3", CacheForm::expanded) == Approx(71.1).margin(0.05));
  CHECK(over_latent("deepseek-v3", CacheForm::mha) == Approx(56.9).margin(0.05));
  // 128K tokens of DeepSeek-V3 need 9.2 GB, not 2, which is enough for 28460.
  CHECK(model_bytes("deepseek-v3", {}, 28460) <= 2000000000);
  CHECK(model_bytes("deepseek-v3", {}, 28461) > 2000000000);
}

TEST_CASE("a cache that rolls keeps a window of windowed layers and everything of others") {
  const Index token = 2 * 8 * 64 * 2;  // gpt-oss-20b: G 8, D 64, bf16; 12 of 24 layers see 128
  CHECK(rolling_cache_bytes(preset("gpt-oss-20b"), {.length = 8192}) ==
        token * (12 * 8192 + 12 * 128));
  CHECK(rolling_cache_bytes(preset("gpt-oss-20b"), {.length = 100}) == token * 24 * 100);
  CHECK(rolling_cache_bytes(preset("llama-3-8b"), {.length = 8192}) == 1073741824);
  CHECK(rolling_cache_bytes(preset("mistral-7b-v0.1"), {.length = 8192}) == 536870912);
}

TEST_CASE("attention has the published number of parameters") {
  const auto projections = [](std::string_view name) {
    return layer_parameters(preset(name)).projections;
  };
  CHECK(projections("deepseek-v3") == 187105280);
  CHECK(projections("deepseek-v3") == 11010048 + 37748736 + 4128768 + 16777216 + 117440512);
  CHECK(layer_parameters(preset("deepseek-v3")).others == 2048);
  CHECK(model_parameters(preset("deepseek-v3")).projections == 61 * Index{187105280});
  CHECK(projections("deepseek-v2-lite") == 13762560);
  // One width, without and with w_o [4096, 4096].
  const Index w_o = 16777216;
  CHECK(projections("mha-32x128") == 50331648 + w_o);
  CHECK(projections("mla-32x128") == 22282240 + w_o);  // 22020096 would forget the rope key
  CHECK(projections("llama-2-70b") == 8192 * (10240 + 8192));
  // Of the rest: biases of 28 + 4 + 4 heads; two norms; biases of q, k, v, o and 64 sinks.
  CHECK(layer_parameters(preset("qwen2.5-7b")).others == 36 * 128);
  CHECK(layer_parameters(preset("qwen3-8b")).others == 2 * 128);
  CHECK(layer_parameters(preset("gpt-oss-20b")).others == 80 * 64 + 2880 + 64);
  CHECK(layer_parameters(preset("llama-3-8b")).others == 0);
}

TEST_CASE("operations of a small model are those counted by hand") {
  // tiny-gemma: 4 layers, of which 2 see 5 keys; E 80, H 6, G 3, D 16.
  const Index parameters = 80 * (96 + 48 + 48) + 96 * 80;
  const AttentionFlops prefill = prefill_flops(preset("tiny-gemma"), {.length = 8, .batch = 3});
  CHECK(prefill.projections == 2 * 4 * parameters * 3 * 8);
  const Index all = 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8, windowed = 1 + 2 + 3 + 4 + 5 + 5 + 5 + 5;
  CHECK(prefill.core == 2 * 3 * 6 * (16 + 16) * (2 * all + 2 * windowed));
  const AttentionFlops decode = decode_flops(preset("tiny-gemma"), {.length = 8, .batch = 3});
  CHECK(decode.projections == 2 * 4 * parameters * 3);
  CHECK(decode.core == 2 * 3 * 6 * (16 + 16) * (2 * 8 + 2 * 5));
}

TEST_CASE("prefill does what decoding the same tokens one by one does") {
  for (std::string_view name : {"tiny-gqa-6-2", "tiny-gemma", "tiny-gpt-oss", "tiny-falcon"}) {
    CAPTURE(name);
    AttentionFlops sum;
    for (Index length = 1; length <= 11; ++length) {
      const AttentionFlops step = decode_flops(preset(name), {.length = length, .batch = 2});
      sum.projections += step.projections;
      sum.core += step.core;
    }
    const AttentionFlops prefill = prefill_flops(preset(name), {.length = 11, .batch = 2});
    CHECK(prefill.projections == sum.projections);
    CHECK(prefill.core == sum.core);
  }
}

TEST_CASE("absorbed attention multiplies 1088 numbers a head and key, expanded 320") {
  const Preset& v3 = preset("deepseek-v3");
  CHECK(decode_flops(v3, {.length = 1000}).core == Index{2} * 61 * 128 * 1088 * 1000);
  CHECK(prefill_flops(v3, {.length = 1}).core == Index{2} * 61 * 128 * 320);
  CHECK(decode_flops(v3, {.length = 1}).projections ==
        prefill_flops(v3, {.length = 1}).projections);
}

TEST_CASE("what fewer heads save of a whole block shrinks with length, and MLA's becomes a cost") {
  const auto [name, at_2k, at_8k, at_32k] = GENERATE(table<std::string, double, double, double>({
      {"gqa8-32x128", -30.0, -18.8, -7.5},
      {"gqa4-32x128", -35.0, -21.9, -8.8},
      {"mqa-32x128", -38.8, -24.2, -9.7},
      {"mla-32x128", -28.4, -8.4, 11.6},
  }));
  CAPTURE(name);
  CHECK(change(name, "mha-32x128", 2048) == Approx(at_2k).margin(0.051));
  CHECK(change(name, "mha-32x128", 8192) == Approx(at_8k).margin(0.051));
  CHECK(change(name, "mha-32x128", 32768) == Approx(at_32k).margin(0.051));
}

TEST_CASE("what cannot be counted is an error") {
  const Preset& dense = preset("llama-3-8b");
  constexpr Index kMax = std::numeric_limits<Index>::max();
  const auto bytes = [&](CacheForm form, const CacheExtent& extent) {
    return cache_bytes(dense, form, extent).model;
  };
  CHECK_THROWS_WITH(bytes(CacheForm::model, {.length = 0}), Catch::Contains("got length=0"));
  CHECK_THROWS_WITH(bytes(CacheForm::model, {.batch = -2}), Catch::Contains("batch=-2"));
  CHECK_THROWS_WITH(bytes(CacheForm::model, {.dtype = Dtype::int32}), Catch::Contains("int32"));
  CHECK_THROWS_WITH(bytes(CacheForm::fp8_latent, {}), Catch::Contains("for MLA"));
  CHECK_THROWS_WITH(bytes(CacheForm::latent_without_rope, {}), Catch::Contains("MLA"));
  CHECK_THROWS_AS(cache_elements(preset("deepseek-v3"), CacheForm::fp8_latent), Error);
  // 2^63 bytes are too many: 2^17 a token of the model.
  CHECK(bytes(CacheForm::model, {.length = (Index{1} << 46) - 1}) == kMax - 131071);
  CHECK_THROWS_WITH(bytes(CacheForm::model, {.length = Index{1} << 46}), Catch::Contains("2^63"));
  CHECK_THROWS_WITH(bytes(CacheForm::model, {.batch = kMax}), Catch::Contains("2^63"));
  CHECK_THROWS_WITH(prefill_flops(dense, {.length = kMax}), Catch::Contains("2^63"));
  CHECK_THROWS_WITH(decode_flops(dense, {.length = kMax}), Catch::Contains("2^63"));
  CHECK_THROWS_WITH(rolling_cache_bytes(dense, {.length = kMax}), Catch::Contains("2^63"));
}
