#include "cases/preset_reader.h"

#include <charconv>
#include <cmath>
#include <set>

#include "cases/case.h"
#include "cases/error.h"

namespace attest {
namespace {

using Kind = YamlNode::Kind;

constexpr Index kMaxSize = Index{1} << 24;

/// A map whose keys are asked for one by one, each with the type that it must have.
class Map {
 public:
  Map(const YamlNode& node, std::string_view what) : node_(node), what_(what) {
    node.require(Kind::map, what);
  }

  bool has(std::string_view key) {
    known_.emplace(key);
    return node_.find(key);
  }
  const std::string& where() const { return node_.where; }
  std::string where(std::string_view key) const { return node_.find(key)->where; }

  const YamlNode& take(std::string_view key) {
    const YamlNode* value = node_.find(key);
    known_.emplace(key);
    ATTEST_CHECK(value, node_.where, ": ", what_, " must have ", key, ", got none");
    return *value;
  }

  std::string text(std::string_view key) {
    const YamlNode& value = take(key);
    value.require(Kind::scalar, key);
    ATTEST_CHECK(!value.text.empty(), value.where, ": ", key, " must not be empty");
    return value.text;
  }

  Index integer(std::string_view key, Index low = 1) {
    const YamlNode& value = take(key);
    value.require(Kind::scalar, key);
    return parse_integer(value.where, key, value.text, low, kMaxSize);
  }

  double number(std::string_view key, double low) {
    const YamlNode& value = take(key);
    value.require(Kind::scalar, key);
    const char* const last = value.text.data() + value.text.size();
    double number = 0;
    const auto [end, error] = std::from_chars(value.text.data(), last, number);
    ATTEST_CHECK(error == std::errc() && end == last && std::isfinite(number) && number >= low,
                 value.where, ": ", key, " must be a number of at least ", low, ", got ",
                 value.text);
    return number;
  }

  bool flag(std::string_view key) { return one_of<bool>(key, {true, false}, flag_name); }

  template <class T, class Name>
  T one_of(std::string_view key, std::initializer_list<T> values, Name name_of) {
    const YamlNode& value = take(key);
    value.require(Kind::scalar, key);
    std::string names;
    for (const T& candidate : values) {
      if (value.text == name_of(candidate)) return candidate;
      names += concat(' ', name_of(candidate));
    }
    throw Error(concat(value.where, ": ", key, " must be one of", names, ", got ", value.text));
  }

  /// Throws for the first key that nobody asked for.
  void finish() const {
    std::string known;
    for (const std::string& key : known_) known += concat(' ', key);
    for (const YamlNode& key : node_.keys)
      ATTEST_CHECK(known_.contains(key.text), key.where, ": a key of ", what_, " must be one of",
                   known, ", got ", key.text);
  }

 private:
  static std::string_view flag_name(bool value) { return value ? "true" : "false"; }

  const YamlNode& node_;
  std::string_view what_;
  std::set<std::string> known_;
};

template <class T>
constexpr auto kNameOf = [](T value) { return name(value); };

void read_shape(Map map, Preset& preset) {
  preset.layers = map.integer("layers");
  preset.E = map.integer("E");
  preset.H = map.integer("H");
  if (map.has("L")) {
    if (map.has("Lq")) preset.Lq = map.integer("Lq", 0);
    preset.L = map.integer("L");
    preset.Dn = map.integer("Dn");
    preset.Dr = map.integer("Dr");
    preset.Dv = map.integer("Dv");
    preset.G = preset.H;
    preset.D = preset.Dn + preset.Dr;
    ATTEST_CHECK(preset.Dr % 2 == 0, map.where("Dr"), ": Dr must be even, got ", preset.Dr);
  } else {
    preset.G = map.integer("G");
    preset.D = preset.Dv = map.integer("D");
    ATTEST_CHECK(preset.H % preset.G == 0, map.where("G"),
                 ": H must be a multiple of G, got H=", preset.H, " G=", preset.G);
  }
  map.finish();
}

/// The text of a case string's `rope`, checked against the width that turns.
Rope read_rope(Map& map, std::string_view key, const Preset& preset) {
  const std::string text = map.text(key);
  try {
    const Rope rope = parse_rope(text);
    ATTEST_CHECK(rope.kind != RopeKind::none, "rope: must not be none, got ", text,
                 "; say positions: instead");
    check(rope, preset.is_mla() ? preset.Dr : preset.D);
    return rope;
  } catch (const Error& error) {
    throw Error(concat(map.where(key), ": ", error.what()));
  }
}

Preset::Window read_window(Map map) {
  Preset::Window window;
  window.size = map.integer("size");
  if (map.has("global_every")) window.global_every = map.integer("global_every", 2);
  map.finish();
  return window;
}

void read_positions(Map& map, Preset& preset) {
  using Positions = Preset::Positions;
  ATTEST_CHECK(map.has("rope") != map.has("positions"), map.where(),
               ": a preset must have either rope or positions, got ",
               map.has("rope") ? "both" : "none");
  if (map.has("rope")) {
    preset.rope = read_rope(map, "rope", preset);
    if (map.has("rope_windowed")) preset.rope_windowed = read_rope(map, "rope_windowed", preset);
  } else {
    preset.positions =
        map.one_of("positions", {Positions::learned, Positions::relative_bias}, kNameOf<Positions>);
    ATTEST_CHECK(!preset.is_mla(), map.where("positions"),
                 ": MLA must have rope, got positions=", name(preset.positions));
  }
}

/// Keys that most presets leave out.
void read_extras(Map& map, Preset& preset) {
  for (const auto& [key, member] :
       std::initializer_list<std::pair<std::string_view, bool Preset::*>>{
           {"causal", &Preset::causal},
           {"qkv_bias", &Preset::qkv_bias},
           {"o_bias", &Preset::o_bias},
           {"sinks", &Preset::sinks}})
    if (map.has(key)) preset.*member = map.flag(key);
  if (map.has("qk_norm"))
    preset.qk_norm = map.one_of("qk_norm", {Norm::rms, Norm::rms_zero_centered}, kNameOf<Norm>);
  ATTEST_CHECK(
      !preset.is_mla() || (!preset.qkv_bias && preset.qk_norm == Norm::none && !preset.sinks),
      map.where(), ": MLA must have no qkv_bias, qk_norm or sinks, got one");
  ATTEST_CHECK(!preset.is_mla() || !map.has("window"), map.where(), ": MLA must have no window, ",
               "got one");
  if (map.has("window")) preset.window = read_window({map.take("window"), "window"});
  ATTEST_CHECK(!preset.rope_windowed || preset.window.global_every > 0, map.where(),
               ": rope_windowed must come with a window of some layers, got none");
  if (map.has("softcap")) preset.softcap = map.number("softcap", 1);
  preset.scale_width = map.has("scale_width") ? map.integer("scale_width") : preset.D;
  if (map.has("context")) preset.context = map.integer("context");
  if (map.has("note")) preset.note = map.text("note");
}

void check_name(const Preset& preset, const std::string& where) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789-.";
  ATTEST_CHECK(preset.name.find_first_not_of(kLetters) == std::string::npos, where,
               ": a name must have only letters of ", kLetters, ", got ", preset.name);
}

}  // namespace

Preset read_preset(const YamlNode& node) {
  Map map(node, "a preset");
  Preset preset;
  preset.where = map.where();
  preset.name = map.text("name");
  check_name(preset, map.where("name"));
  if (map.has("kind"))
    preset.kind =
        map.one_of("kind", {Preset::Kind::model, Preset::Kind::standin, Preset::Kind::example},
                   kNameOf<Preset::Kind>);
  if (preset.kind == Preset::Kind::model) {
    using Verified = Preset::Verified;
    preset.source = map.text("source");
    preset.verified =
        map.one_of("verified", {Verified::no, Verified::partly, Verified::yes}, kNameOf<Verified>);
  } else {
    preset.source = "made up";
    preset.verified = Preset::Verified::yes;
  }
  read_shape({map.take("shape"), "shape"}, preset);
  read_positions(map, preset);
  read_extras(map, preset);
  ATTEST_CHECK(preset.verified != Preset::Verified::partly || !preset.note.empty(),
               map.where("verified"), ": verified: partly must come with a note that says what ",
               "was not, got none");
  map.finish();
  return preset;
}

std::string_view name(Preset::Kind kind) {
  constexpr std::string_view kNames[] = {"model", "standin", "example"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view name(Preset::Verified verified) {
  constexpr std::string_view kNames[] = {"false", "partly", "true"};
  return kNames[static_cast<std::size_t>(verified)];
}

std::string_view name(Preset::Positions positions) {
  constexpr std::string_view kNames[] = {"rope", "learned", "relative_bias"};
  return kNames[static_cast<std::size_t>(positions)];
}

}  // namespace attest
