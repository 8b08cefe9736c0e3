#include "cases/case.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "cases/enum_names.h"
#include "cases/error.h"
#include "cases/number.h"

namespace attest {
namespace {

constexpr std::string_view kKernels[] = {
#define ATTEST_KERNEL(name) #name,
#include "cases/variants.def"
};

constexpr std::string_view kProblemKeys =
    "B Sq Sk H G D Dv dtype kv layout level E L Lq tp norm bias gate eps form Dn Dr rope lens page "
    "mask "
    "window scale softcap alibi attn_bias attn_mask sink fill seed";
constexpr std::string_view kRunKeys = "kernel backend splits schedule";

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::string parse_kernel(std::string_view text) {
  return std::string(kKernels[parse_enum<std::size_t>("kernel", kKernels, text)]);
}

std::uint64_t parse_unsigned(std::string_view where, std::string_view key, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  ATTEST_CHECK(error == std::errc() && end == text.data() + text.size() && !text.empty(), where,
               ": ", key, " must be a whole number in [0, 2^64), got ", key, "=", text);
  return value;
}

bool contains_word(std::string_view words, std::string_view word) {
  return concat(' ', words, ' ').find(concat(' ', word, ' ')) != std::string::npos;
}

Index* dimension(Problem& p, std::string_view key) {
  const std::array<std::pair<std::string_view, Index*>, 14> table = {{{"B", &p.B},
                                                                      {"Sq", &p.Sq},
                                                                      {"Sk", &p.Sk},
                                                                      {"H", &p.H},
                                                                      {"G", &p.G},
                                                                      {"D", &p.D},
                                                                      {"Dv", &p.Dv},
                                                                      {"Dn", &p.Dn},
                                                                      {"Dr", &p.Dr},
                                                                      {"page", &p.page},
                                                                      {"E", &p.layer.E},
                                                                      {"L", &p.layer.L},
                                                                      {"Lq", &p.layer.Lq},
                                                                      {"tp", &p.layer.tp}}};
  for (const auto& [known, member] : table)
    if (known == key) return member;
  return nullptr;
}

void parse_problem_side(Case& result, std::string_view text) {
  const std::size_t space = text.find(' ');
  result.problem.variant = parse_variant(text.substr(0, space));
  const auto pairs = parse_pairs("case", space == std::string_view::npos ? "" : text.substr(space));
  std::string seen;
  for (const KeyValue& pair : pairs) {
    ATTEST_CHECK(contains_word(kProblemKeys, pair.key), "case: keys of a problem are ",
                 kProblemKeys, ", got ", pair.key, "=", pair.value);
    set_key(result, "case", pair.key, pair.value);
    seen += concat(' ', pair.key);
  }
  Problem& p = result.problem;
  const bool given_G = contains_word(seen, "G");
  derive(p, {.G = given_G, .Dv = contains_word(seen, "Dv"), .Dn = contains_word(seen, "Dn")});
  if (p.variant != Variant::gqa && !given_G) seen += " G";
  for (std::string_view needed : {"B", "Sq", "Sk", "H", "G", "D", "dtype"})
    ATTEST_CHECK(contains_word(seen, needed), "case: ", needed, " must be given, got only",
                 seen.empty() ? " the variant" : seen);
  validate(p);
}

}  // namespace

std::string_view name(Backend backend) { return backend == Backend::emu ? "emu" : "gpu"; }

Backend parse_backend(std::string_view text) {
  ATTEST_CHECK(text == "emu" || text == "gpu", "backend: must be one of emu gpu, got ", text);
  return text == "emu" ? Backend::emu : Backend::gpu;
}

std::string print(const RunConfig& run) {
  const RunConfig defaults;
  std::string text;
  if (!run.kernel.empty()) text += concat(" kernel=", run.kernel);
  if (run.backend != defaults.backend) text += concat(" backend=", name(run.backend));
  if (run.splits != defaults.splits) text += concat(" splits=", run.splits);
  if (run.schedule != defaults.schedule) text += concat(" schedule=", run.schedule);
  return text.empty() ? text : text.substr(1);
}

std::string print(const Case& c) {
  const std::string run = print(c.run);
  return run.empty() ? print(c.problem) : concat(print(c.problem), " | ", run);
}

Case parse_case(std::string_view text) {
  const std::size_t bar = text.find('|');
  Case result;
  parse_problem_side(result, trim(text.substr(0, bar)));
  if (bar == std::string_view::npos) return result;
  for (const KeyValue& pair : parse_pairs("case", text.substr(bar + 1))) {
    ATTEST_CHECK(contains_word(kRunKeys, pair.key), "case: keys after ' | ' are ", kRunKeys,
                 ", got ", pair.key, "=", pair.value);
    set_key(result, "case", pair.key, pair.value);
  }
  return result;
}

std::vector<KeyValue> parse_pairs(std::string_view where, std::string_view text) {
  std::vector<KeyValue> pairs;
  while (!(text = trim(text)).empty()) {
    const std::string_view token = text.substr(0, text.find(' '));
    text.remove_prefix(token.size());
    const std::size_t equals = token.find('=');
    ATTEST_CHECK(equals != std::string_view::npos && equals > 0, where,
                 ": each word must be key=value, got ", token);
    const KeyValue pair{std::string(token.substr(0, equals)),
                        std::string(token.substr(equals + 1))};
    ATTEST_CHECK(std::none_of(pairs.begin(), pairs.end(),
                              [&](const KeyValue& other) { return other.key == pair.key; }),
                 where, ": a key must be given once, got ", pair.key, " twice");
    pairs.push_back(pair);
  }
  return pairs;
}

std::int64_t parse_integer(std::string_view where, std::string_view key, std::string_view text,
                           std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  ATTEST_CHECK(error == std::errc() && end == text.data() + text.size() && !text.empty() &&
                   value >= low && value <= high,
               where, ": ", key, " must be a whole number in [", low, ", ", high, "], got ", key,
               "=", text);
  return value;
}

std::vector<Index> parse_lens(std::string_view where, std::string_view text) {
  std::vector<Index> lens;
  if (text == "all") return lens;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    lens.push_back(parse_integer(where, "lens", text.substr(from, comma - from), 0,
                                 std::numeric_limits<Index>::max()));
    from = comma + 1;
  }
  return lens;
}

void derive(Problem& p, const Given& given) {
  const bool mla = p.variant == Variant::mla;
  const bool absorbed = mla && p.form == Form::absorbed && p.level == Level::core;
  if (!given.G && (p.variant == Variant::mha || (mla && !absorbed))) p.G = p.H;
  if (!given.G && (p.variant == Variant::mqa || absorbed)) p.G = 1;
  if (!given.Dv) p.Dv = absorbed ? p.D - p.Dr : p.D;
  if (!given.Dn && mla && !absorbed) p.Dn = p.D - p.Dr;
}

void set_key(Case& c, std::string_view where, std::string_view key, std::string_view value) {
  constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
  if (Index* member = dimension(c.problem, key)) {
    *member = parse_integer(where, key, value, -kAny, kAny);  // validate() knows the ranges
  } else if (key == "dtype") {
    c.problem.dtype = parse_dtype(value);
  } else if (key == "kv") {
    c.problem.kv = value == "dtype" ? std::nullopt : std::optional(parse_dtype(value));
  } else if (key == "form") {
    c.problem.form = parse_form(value);
  } else if (key == "layout") {
    c.problem.layout = parse_layout(value);
  } else if (key == "level") {
    c.problem.level = parse_level(value);
  } else if (key == "norm") {
    c.problem.layer.norm = parse_norm(value);
  } else if (key == "bias") {
    c.problem.layer.bias = parse_bias(value);
  } else if (key == "gate") {
    c.problem.layer.gate = parse_integer(where, key, value, 0, 1) == 1;
  } else if (key == "eps") {
    c.problem.layer.eps = parse_number(where, key, value);
  } else if (key == "window") {
    c.problem.window = parse_window(value);
  } else if (key == "alibi") {
    c.problem.alibi = parse_integer(where, key, value, 0, 1) == 1;
  } else if (key == "attn_bias") {
    c.problem.attn_bias = parse_per_pair(key, value);
  } else if (key == "attn_mask") {
    c.problem.attn_mask = parse_per_pair(key, value);
  } else if (key == "sink") {
    c.problem.sink = parse_sink(value);
  } else if (key == "scale") {
    c.problem.scale = parse_number(where, key, value);
  } else if (key == "softcap") {
    c.problem.softcap = parse_number(where, key, value);
  } else if (key == "lens") {
    c.problem.lens = parse_lens(where, value);
  } else if (key == "rope") {
    c.problem.rope = parse_rope(value);
  } else if (key == "mask") {
    c.problem.mask = parse_mask(value);
  } else if (key == "fill") {
    c.problem.fill = parse_fill(value);
  } else if (key == "seed") {
    c.problem.seed = parse_unsigned(where, key, value);
  } else if (key == "kernel") {
    c.run.kernel = parse_kernel(value);
  } else if (key == "backend") {
    c.run.backend = parse_backend(value);
  } else if (key == "splits") {
    c.run.splits = parse_integer(where, key, value, 0, 1 << 16);
  } else if (key == "schedule") {
    c.run.schedule = parse_unsigned(where, key, value);
  } else {
    throw Error(concat(where, ": keys are variant ", kProblemKeys, ' ', kRunKeys, ", got ", key));
  }
}

}  // namespace attest
