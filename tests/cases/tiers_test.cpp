// What the shipped matrices promise: dimensions, lengths and cost; tier_coverage_test.cpp has pairs
// and triples.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "cases/error.h"
#include "cases/matrix.h"
#include "tests/catch.h"

using namespace attest;

namespace {

const std::filesystem::path kRoot = ATTEST_SOURCE_DIR;
const std::vector<std::string> kDimensions = {"B", "Sq", "Sk", "H", "G", "D", "Dv"};

std::vector<Case> tier(const std::string& name) {
  return load_cases({kRoot / "ci" / (name + ".list")});
}

std::set<std::string> values(const std::vector<Case>& all, const std::string& key) {
  std::set<std::string> result;
  for (const Case& c : all) result.insert(value_of(c, key));
  return result;
}

/// The only reasons for which two dimensions of a case may be equal.
bool may_be_equal(const Problem& p, const std::string& a, const std::string& b) {
  const bool layer = p.level == Level::layer;
  if (layer && a == "D" && b == "Dv") return p.variant != Variant::mla;  // one projection
  if (layer && a == "Sq" && b == "Sk") return true;                      // prefill
  if (layer && a == "H" && b == "G") return p.variant == Variant::mha || p.variant == Variant::mla;
  const bool fused = p.layout == Layout::qkv;  // one row for q, k and v
  if (fused && ((a == "D" && b == "Dv") || (a == "Sq" && b == "Sk"))) return true;
  const bool expanded = p.variant == Variant::mla && p.form == Form::expanded;
  if (a == "H" && b == "G") return p.variant == Variant::mha || expanded || p.H / p.G == 1;
  if (a == "D" && b == "Dv") return p.D == 64 || p.D == 128;     // a kernel's capacity
  if (a == "Sq" && b == "Sk") return p.variant == Variant::mha;  // squares, as in training
  // One query or one key, where the variant has one key/value head.
  const bool one_head = p.variant == Variant::mqa || p.form == Form::absorbed;
  if (b == "G") return one_head && (a == "Sq" || a == "Sk");
  return false;
}

Index tiles(Index length) { return (length + 63) / 64; }

}  // namespace

TEST_CASE("the gate has about 1600 cases, a fifth of them MLA, the smoke tier about 75") {
  const auto gate = tier("gate");
  CHECK(gate.size() >= 1450);
  CHECK(gate.size() <= 1700);
  CHECK(tier("smoke").size() >= 45);
  CHECK(tier("smoke").size() <= 80);
  const auto count = [&](auto condition) { return std::ranges::count_if(gate, condition); };
  CHECK(count([](const Case& c) { return c.problem.variant == Variant::mla; }) >= 150);
  CHECK(count([](const Case& c) { return c.problem.level == Level::layer; }) >= 150);
  CHECK(count([](const Case& c) { return c.problem.dtype == Dtype::fp32; }) >= 120);
  CHECK(count([](const Case& c) { return c.problem.page > 0; }) >= 75);
  CHECK(count([](const Case& c) { return !c.problem.lens.empty(); }) >= 60);
  CHECK(count([](const Case& c) { return c.problem.kv.has_value(); }) >= 75);
  CHECK(count([](const Case& c) { return c.problem.rope.kind == RopeKind::yarn; }) >= 60);
}

TEST_CASE("two dimensions of a case are equal only for a stated reason") {
  std::vector<Case> all = tier("gate");
  for (Block& block : load_blocks({kRoot / "ci/nightly.list"}))
    for (const Case& c : cases(block)) all.push_back(c);
  for (const Case& c : all)
    for (std::size_t a = 0; a < kDimensions.size(); ++a)
      for (std::size_t b = a + 1; b < kDimensions.size(); ++b) {
        if (value_of(c, kDimensions[a]) != value_of(c, kDimensions[b])) continue;
        CAPTURE(print(c), kDimensions[a], kDimensions[b]);
        CHECK(may_be_equal(c.problem, kDimensions[a], kDimensions[b]));
      }
}

TEST_CASE("every pair of dimensions is told apart in every variant, most in both orders") {
  const std::set<std::string> one_order = {"H<G", "D<B", "D<G", "Dv<B", "Dv<G"};
  std::map<Variant, std::set<std::string>> seen;
  std::set<std::string> gate;
  for (const Case& c : tier("gate"))
    for (const std::string& a : kDimensions)
      for (const std::string& b : kDimensions)
        if (std::stoll(value_of(c, a)) < std::stoll(value_of(c, b))) {
          seen[c.problem.variant].insert(a + "<" + b);
          gate.insert(a + "<" + b);
        }
  for (const std::string& a : kDimensions)
    for (const std::string& b : kDimensions) {
      if (a == b) continue;
      CAPTURE(a, b);
      CHECK(gate.contains(a + "<" + b) == !one_order.contains(a + "<" + b));
      for (const auto& [variant, orders] : seen) {
        const bool equal =
            variant == Variant::mha && (a == "H" || b == "H") && (a == "G" || b == "G");
        CAPTURE(name(variant));
        CHECK((orders.contains(a + "<" + b) || orders.contains(b + "<" + a)) == !equal);
      }
    }
}

TEST_CASE("each variant sees every fill, mask, dtype, kernel, split and width capacity") {
  for (const char* file : {"mha.yaml", "gqa.yaml", "mqa.yaml"}) {
    const auto all = cases(load_matrix(kRoot / "cases" / file));
    CAPTURE(file);
    CHECK(values(all, "fill").size() == fills().size());
    CHECK(values(all, "mask").size() == 3);
    CHECK(values(all, "dtype") == std::set<std::string>{"bf16", "fp16"});
    CHECK(values(all, "kernel") == std::set<std::string>{"decode", "prefill"});
    CHECK(values(all, "splits") == std::set<std::string>{"0", "1", "2", "3", "64"});
    CHECK(values(all, "schedule").size() == 3);
    CHECK(values(all, "seed").size() == 2);
    std::set<std::pair<Index, Index>> widths;
    for (const Case& c : all) widths.insert({c.problem.D, c.problem.Dv});
    for (const auto& capacity : {std::pair<Index, Index>{64, 64}, {128, 128}, {192, 128}})
      CHECK(widths.contains(capacity));
    CHECK(widths.size() >= 5);  // and widths that fill no capacity
  }
}

TEST_CASE("MLA sees every fill that it can have, in both forms, and every scale") {
  const auto all = cases(load_matrix(kRoot / "cases/mla.yaml"));
  CHECK(values(all, "fill").size() == fills().size());
  CHECK(values(all, "mask").size() == 3);
  CHECK(values(all, "dtype") == std::set<std::string>{"bf16", "fp16"});
  CHECK(values(all, "kernel") == std::set<std::string>{"decode", "mla_decode", "prefill"});
  CHECK(values(all, "splits") == std::set<std::string>{"0", "1", "2", "3", "64"});
  CHECK(values(all, "rope").size() == 4);
  std::set<std::string> of_latent;
  for (const Case& c : all)
    if (c.problem.form == Form::absorbed) of_latent.insert(value_of(c, "fill"));
  CHECK(std::ssize(of_latent) ==
        std::ranges::count_if(fills(), [](const FillInfo& fill) { return fill.of_latent; }));
  // The widths of DeepSeek, and those where no two of D, Dv, Dn and Dr are equal.
  const auto has = [&](Index D, Index Dv, Index Dn, Index Dr) {
    return std::ranges::any_of(all, [&](const Case& c) {
      const Problem& p = c.problem;
      return p.D == D && p.Dv == Dv && p.Dn == Dn && p.Dr == Dr;
    });
  };
  CHECK(has(192, 128, 128, 64));
  CHECK(has(576, 512, 128, 64));
  CHECK(has(72, 40, 56, 16));
  CHECK(has(72, 64, 20, 8));
}

TEST_CASE("the gate has the lengths and head ratios that are known to break kernels") {
  const auto all = tier("gate");
  const auto ratios = values(all, "R");
  for (const char* ratio : {"1", "2", "7", "8"}) CHECK(ratios.contains(ratio));
  for (const char* key : {"Sq", "Sk"})
    for (const char* length : {"1", "63", "64", "65", "127", "128", "129"}) {
      CAPTURE(key, length);
      CHECK(values(all, key).contains(length));
    }
  CHECK(values(all, "Sk").contains("0"));
  // Rows without a key: a finite mask value or a missing guard shows nowhere else.
  for (const auto& [Sq, Sk] : {std::pair<Index, Index>{100, 30}, {129, 80}, {65, 64}})
    for (Mask mask : {Mask::none, Mask::causal, Mask::causal_top_left}) {
      CAPTURE(Sq, Sk, name(mask));
      CHECK(std::any_of(all.begin(), all.end(), [&, q = Sq, k = Sk](const Case& c) {
        return c.problem.Sq == q && c.problem.Sk == k && c.problem.mask == mask;
      }));
    }
}

TEST_CASE("batch entries of no, one, few and all keys meet every kernel and mask, in pages too") {
  struct Kind {
    const char* name;
    bool (*of)(const Problem&, Index b);
  };
  constexpr Kind kKinds[] = {
      {"no key", [](const Problem& p, Index b) { return p.length(b) == 0; }},
      {"one key", [](const Problem& p, Index b) { return p.length(b) == 1; }},
      {"fewer keys than queries",
       [](const Problem& p, Index b) { return p.length(b) > 0 && p.length(b) < p.Sq; }},
      {"all of Sk", [](const Problem& p, Index b) { return p.length(b) == p.Sk; }},
      {"one key behind a tile", [](const Problem& p, Index b) { return p.length(b) % 32 == 1; }}};
  const auto all = cases(load_matrix(kRoot / "cases/lens.yaml"));
  for (const Kind& kind : kKinds) {
    std::set<std::string> met;
    for (const Case& c : all)
      for (Index b = 0; b < c.problem.B; ++b)
        if (kind.of(c.problem, b))
          met.merge(std::set<std::string>{c.run.kernel, std::string(name(c.problem.mask)),
                                          c.problem.page > 0 ? "pages" : "row"});
    CAPTURE(kind.name);
    CHECK(met == std::set<std::string>{"prefill", "decode", "mla_decode", "none", "causal",
                                       "causal_top_left", "pages", "row"});
  }
  for (const char* length : {"63", "64", "65", "127", "128", "129"})
    CHECK(std::ranges::any_of(values(all, "lens"), [&](const std::string& lens) {
      return concat(',', lens, ',').find(concat(',', length, ',')) != std::string::npos;
    }));
}

TEST_CASE("layers see every norm, bias, rotation, pairing, share of heads and kind of call") {
  const auto all = cases(load_matrix(kRoot / "cases/layer.yaml"));
  CHECK(values(all, "norm").size() == 5);
  CHECK(values(all, "bias").size() == 3);
  CHECK(values(all, "gate").size() == 2);
  CHECK(values(all, "tp") == std::set<std::string>{"1", "2", "4", "8"});
  CHECK(values(all, "form").size() == 2);
  CHECK(values(all, "Lq").size() == 3);
  CHECK(values(all, "fill").size() == 5);
  CHECK(values(all, "eps").size() == 2);
  const auto has = [&](auto condition) {
    return std::ranges::any_of(all, [&](const Case& c) { return condition(c.problem); });
  };
  for (RopeKind kind :
       {RopeKind::none, RopeKind::unscaled, RopeKind::linear, RopeKind::llama3, RopeKind::yarn})
    CHECK(has([&](const Problem& p) { return p.rope.kind == kind; }));
  for (RopePairing pairing :
       {RopePairing::half, RopePairing::interleaved, RopePairing::deinterleave})
    CHECK(has([&](const Problem& p) { return p.rope.pairing == pairing; }));
  CHECK(has([](const Problem& p) { return p.layer.tp > p.G; }));
  for (Variant variant : {Variant::mha, Variant::gqa, Variant::mqa, Variant::mla}) {
    CHECK(has([&](const Problem& p) { return p.variant == variant && p.Sq == p.Sk; }));
    CHECK(has([&](const Problem& p) { return p.variant == variant && 1 < p.Sq && p.Sq < p.Sk; }));
    CHECK(has([&](const Problem& p) { return p.variant == variant && p.page > 0; }));
  }
}

TEST_CASE("the smoke tier reaches every variant, kernel, dtype, mask, capacity and most fills") {
  const auto all = tier("smoke");
  std::set<Variant> variants;
  for (const Case& c : all) variants.insert(c.problem.variant);
  CHECK(variants.size() == 4);
  for (const auto& [key, count] : {std::pair{"kernel", 5u},
                                   {"dtype", 3u},
                                   {"mask", 3u},
                                   {"D", 8u},
                                   {"schedule", 2u},
                                   {"seed", 3u},
                                   {"lens", 7u},
                                   {"page", 5u},
                                   {"window", 6u},
                                   {"attn_bias", 3u},
                                   {"attn_mask", 5u},
                                   {"sink", 3u},
                                   {"layout", 2u},
                                   {"fill", 16u}}) {
    CAPTURE(key);
    CHECK(values(all, key).size() == count);
  }
}

TEST_CASE("no case costs the emulator more than a moment") {
  Index total = 0;
  for (const Case& c : tier("gate")) {
    const Problem& p = c.problem;
    CAPTURE(print(c));
    Index pairs = 0;
    for (Index b = 0; b < p.B; ++b) pairs += p.H * tiles(p.Sq) * tiles(p.length(b));
    if (c.run.kernel == "prefill") CHECK(pairs <= 150);
    if (c.run.kernel == "prefill") total += pairs;
    if (c.run.kernel == "decode") CHECK(p.H / p.G * p.Sq <= 256);
    if (c.run.kernel == "mla_decode") CHECK(p.B * p.H * p.Sq <= 1600);
    CHECK((p.fill != Fill::needle || (p.Sk >= 2 && p.D >= 64)));
    if (c.run.kernel == "ffma") {  // any width
      CHECK(p.B * p.H * p.Sq * tiles(p.Sk) * (p.D + p.Dv) <= 1500000);
      continue;
    }
    const bool absorbed = p.form == Form::absorbed;
    CHECK((p.D % 8 == 0 && p.D <= (absorbed ? 576 : 192)));
    CHECK((p.Dv % 8 == 0 && p.Dv <= (absorbed ? 512 : 128)));
  }
  CHECK(total <= 50 * static_cast<Index>(tier("gate").size()));
}

TEST_CASE("the matrix that cases/README.md shows is one") {
  std::ifstream file(kRoot / "cases/README.md");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const std::size_t first = text.find("```yaml") + 7;
  CHECK(cases(parse_matrix(text.substr(first, text.find("```", first) - first), "README")).size() ==
        8);
}
