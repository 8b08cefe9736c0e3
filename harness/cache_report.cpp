#include "harness/cache_report.h"

#include <fmt/format.h>

#include <string_view>

#include "cases/error.h"
#include "cases/preset_layer.h"

namespace attest {
namespace {

struct Row {
  std::string_view label, preset;
  CacheForm form = CacheForm::model;
  Index length = 8192;
};

constexpr Index k128K = 131072;
constexpr Row kRows[] = {
    {"LLaMA-3 8B, if it were MHA 32 x 128", "llama-3-8b", CacheForm::mha},
    {"LLaMA-3 8B, GQA 8 x 128", "llama-3-8b"},
    {"GQA 4 x 128 of 32 heads", "gqa4-32x128"},
    {"LLaMA-3 70B, if it were MHA 64 x 128", "llama-3-70b", CacheForm::mha},
    {"LLaMA-3 70B, GQA 8 x 128", "llama-3-70b"},
    {"LLaMA-3.1 405B, GQA 8 x 128", "llama-3.1-405b"},
    {"MQA 1 x 128 of 32 heads", "mqa-32x128"},
    {"MHA 32 x 128, 60 layers", "mha-32x128-60-layers"},
    {"MLA expanded, 32 x (192 + 128)", "mla-32x128", CacheForm::expanded},
    {"same, 60 layers", "mla-32x128-60-layers", CacheForm::expanded},
    {"MLA latent 512 without rope key (not enough)", "mla-32x128", CacheForm::latent_without_rope},
    {"same, 60 layers (not enough)", "mla-32x128-60-layers", CacheForm::latent_without_rope},
    {"MLA latent 512 + 64", "mla-32x128"},
    {"same, 60 layers: DeepSeek-V2", "deepseek-v2"},
    {"DeepSeek-V3 latent", "deepseek-v3"},
    {"DeepSeek-V3 expanded, 128 x (192 + 128)", "deepseek-v3", CacheForm::expanded},
    {"DeepSeek-V3 latent", "deepseek-v3", CacheForm::model, k128K},
    {"DeepSeek-V3 expanded", "deepseek-v3", CacheForm::expanded, k128K},
    {"MHA 128 x 128, as large, no MLA", "deepseek-v3", CacheForm::mha, k128K},
    {"DeepSeek-V3 latent, fp8 of 656 B", "deepseek-v3", CacheForm::fp8_latent, k128K},
    {"Falcon-40B, GQA 8 x 64", "falcon-40b", CacheForm::model, 2048},
    {"Falcon-40B misread as MQA 1 x 128", "mqa-1x128-60-layers", CacheForm::model, 2048},
};

std::string decimals(Index bytes, double unit) {
  return fmt::format("{:.3f}", static_cast<double>(bytes) / unit);
}

constexpr double kGB = 1e9, kGiB = 1 << 30;

std::string ratio(Index of, Index to) {
  return fmt::format("{:.2f}x", static_cast<double>(of) / static_cast<double>(to));
}

std::string table_row(const std::vector<Preset>& presets, const Row& row) {
  const Preset& preset = find_preset(presets, row.preset);
  const CacheBytes bytes = cache_bytes(preset, row.form, {.length = row.length});
  const std::string elements =
      row.form == CacheForm::fp8_latent ? "-" : std::to_string(cache_elements(preset, row.form));
  return fmt::format("{:<46}{:>7}{:>10}{:>12}{:>8}{:>14}{:>9}{:>9}\n", row.label, row.length,
                     elements, binary_size(bytes.layer), preset.layers, bytes.model,
                     decimals(bytes.model, kGB), decimals(bytes.model, kGiB));
}

std::string ratio_row(const Preset& preset, CacheForm form, std::string_view label) {
  return fmt::format("{:<46}{:>7}\n", label,
                     ratio(cache_elements(preset, form), cache_elements(preset, CacheForm::model)));
}

std::string heads(const Preset& p) {
  if (!p.is_mla()) return fmt::format("H {} G {} D {}", p.H, p.G, p.D);
  return fmt::format("H {} {}L {} Dn {} Dr {} Dv {}", p.H,
                     p.Lq > 0 ? fmt::format("Lq {} ", p.Lq) : "", p.L, p.Dn, p.Dr, p.Dv);
}

std::string_view variant(const Preset& p) {
  return p.is_mla() ? "MLA" : p.G == 1 ? "MQA" : p.G == p.H ? "MHA" : "GQA";
}

/// As in a case string, with the two values spelled out that it may leave out.
std::string describe(const Rope& rope) {
  return fmt::format("rope {} (theta {}, pairs {})", print(rope), rope.theta, name(rope.pairing));
}

std::string positions(const Preset& p) {
  if (p.positions != Preset::Positions::rope) return std::string(name(p.positions));
  return describe(p.rope) +
         (p.rope_windowed ? "; windowed layers " + describe(*p.rope_windowed) : "");
}

std::string extras(const Preset& p) {
  std::string text;
  const auto add = [&](bool holds, const std::string& what) {
    if (holds) text += (text.empty() ? "" : ", ") + what;
  };
  add(!p.causal, "sees all positions");
  add(p.qkv_bias, "bias of q, k, v");
  add(p.o_bias, "bias of o");
  add(p.qk_norm != Norm::none, "norms of q and k");
  add(p.window.size > 0, fmt::format("window {} in {} layers", p.window.size, p.windowed_layers()));
  add(p.softcap > 0, fmt::format("softcap {}", p.softcap));
  add(p.sinks, "sinks");
  add(p.scale_width != p.D, fmt::format("scale 1/sqrt({})", p.scale_width));
  add(p.context > 0, fmt::format("context {}", p.context));
  return text;
}

std::string facts(const Preset& p) {
  std::string text =
      fmt::format("{}: {}, {} layers, E {}, {}\n", p.name, variant(p), p.layers, p.E, heads(p));
  const auto add = [&](std::string_view label, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {:<11}{}\n", label, value);
  };
  add("source", p.kind == Preset::Kind::model
                    ? fmt::format("{}, verified: {}", p.source, name(p.verified))
                    : p.source);
  add("note", p.note);
  add("positions", positions(p));
  add("extras", extras(p));
  return text;
}

std::string size_row(const Preset& p, CacheForm form, const CacheExtent& extent,
                     std::string_view label) {
  const CacheBytes bytes = cache_bytes(p, form, extent);
  const CacheBytes mha = cache_bytes(p, CacheForm::mha, extent);
  return fmt::format("  {:<36}{:>10}{:>14}{:>12}{:>16}{:>13}{:>12}\n", label, bytes.token,
                     bytes.layer, binary_size(bytes.layer), bytes.model, binary_size(bytes.model),
                     ratio(mha.token, bytes.token));
}

std::string sizes(const Preset& p, const CacheExtent& extent) {
  std::string text =
      fmt::format("\n{}, {}, B {}, S {}\n",
                  p.causal ? "KV cache" : "Keys and values while it runs (an encoder caches none)",
                  name(extent.dtype), extent.batch, extent.length);
  text += fmt::format("  {:<36}{:>10}{:>14}{:>12}{:>16}{:>13}{:>12}\n", "bytes", "per token",
                      "per layer", "", "model", "", "MHA / this");
  if (p.is_mla()) {
    text += size_row(p, CacheForm::model, extent, "latent, L + Dr");
    text += size_row(p, CacheForm::fp8_latent, extent, "latent in fp8");
    text += size_row(p, CacheForm::expanded, extent, "expanded, H (Dn + Dr + Dv)");
    return text + size_row(p, CacheForm::mha, extent, "MHA without rope key, H (Dn + Dv)");
  }
  text += size_row(p, CacheForm::model, extent, fmt::format("{}, 2 G D", variant(p)));
  if (p.G != p.H) text += size_row(p, CacheForm::mha, extent, "as MHA, 2 H D");
  if (p.window.size > 0) {
    const Index bytes = rolling_cache_bytes(p, extent);
    text += fmt::format("  {:<72}{:>16}{:>13}\n", "windowed layers keep only their window", bytes,
                        binary_size(bytes));
  }
  return text;
}

std::string parameters(const Preset& p) {
  const AttentionParameters layer = layer_parameters(p), model = model_parameters(p);
  const auto row = [](std::string_view label, Index in_layer, Index in_model) {
    return fmt::format("  {:<36}{:>20}{:>20}\n", label, in_layer, in_model);
  };
  return fmt::format("\n{:<38}{:>20}{:>20}\n", "Attention parameters", "per layer", "model") +
         row("projections", layer.projections, model.projections) +
         row("norms, biases, sinks", layer.others, model.others);
}

std::string operations(const Preset& p, const CacheExtent& extent) {
  const auto row = [](std::string_view label, const AttentionFlops& flops) {
    return fmt::format("  {:<36}{:>20}{:>20}\n", label, flops.projections, flops.core);
  };
  std::string text =
      fmt::format("\n{:<38}{:>20}{:>20}\n", "FLOP, all layers", "projections", "q k^T and p v") +
      row(fmt::format("prefill, S {}{}", extent.length, p.is_mla() ? ", expanded" : ""),
          prefill_flops(p, extent));
  if (!p.causal) return text;
  return text + row(fmt::format("decode, S {}{}", extent.length, p.is_mla() ? ", absorbed" : ""),
                    decode_flops(p, extent));
}

/// A decode step of one layer as a case, for `attest run`; or why there is none.
std::string layer_case(const Preset& p, const CacheExtent& extent) {
  const LayerExtent decode{.B = extent.batch, .Sq = 1, .Sk = extent.length, .dtype = extent.dtype};
  try {
    return fmt::format("\nOne layer as a case (decode):\n  {}\n", print(layer_of(p, decode)));
  } catch (const Error& error) {
    return fmt::format("\nNo case of a whole layer: {}\n", error.what());
  }
}

}  // namespace

std::string binary_size(Index bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  Index size = 1;
  while (unit + 1 < std::size(kUnits) && bytes / size >= 1024) size *= 1024, ++unit;
  std::string number =
      fmt::format("{:.3f}", static_cast<double>(bytes) / static_cast<double>(size));
  number.erase(number.find_last_not_of('0') + 1);
  if (number.ends_with('.')) number.pop_back();
  return fmt::format("{} {}", number, kUnits[unit]);
}

std::string cache_table(const std::vector<Preset>& presets) {
  std::string text =
      "KV cache of one sequence (B 1) in bf16. S tokens; numbers of one token in one "
      "layer; GB is 10^9 B, GiB 2^30 B.\n\n";
  text += fmt::format("{:<46}{:>7}{:>10}{:>12}{:>8}{:>14}{:>9}{:>9}\n", "", "S", "numbers",
                      "a layer", "layers", "bytes", "GB", "GiB");
  for (const Row& row : kRows) text += table_row(presets, row);
  const Preset& small = find_preset(presets, "mla-32x128");
  const Preset& v3 = find_preset(presets, "deepseek-v3");
  text += "\n";
  text += ratio_row(small, CacheForm::mha, "MHA 32 x 128 / latent 576");
  text += ratio_row(small, CacheForm::expanded, "MLA expanded, 32 heads / latent 576");
  text += ratio_row(v3, CacheForm::mha, "MHA 128 x 128 / latent 576");
  return text + ratio_row(v3, CacheForm::expanded, "DeepSeek-V3 expanded / latent 576");
}

std::string cache_report(const Preset& preset, const CacheExtent& extent) {
  return facts(preset) + sizes(preset, extent) + parameters(preset) + operations(preset, extent) +
         layer_case(preset, extent);
}

std::string preset_list(const std::vector<Preset>& presets) {
  std::string text = fmt::format("{:<22}{:<9}{:<5}{:>7}{:>7}  {:<42}{:<10}{}\n", "name", "kind", "",
                                 "layers", "E", "heads", "verified", "source");
  for (const Preset& p : presets)
    text += fmt::format("{:<22}{:<9}{:<5}{:>7}{:>7}  {:<42}{:<10}{}\n", p.name, name(p.kind),
                        variant(p), p.layers, p.E, heads(p),
                        p.kind == Preset::Kind::model ? name(p.verified) : "-", p.source);
  return text;
}

}  // namespace attest
