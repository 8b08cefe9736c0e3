#include "cases/matrix.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <utility>

#include "cases/error.h"
#include "cases/yaml.h"

namespace attest {
namespace {

using Kind = YamlNode::Kind;

constexpr std::string_view kNumberKeys =
    " B Sq Sk H G R D Dv Dn Dr E L Lq tp gate alibi page seed splits schedule ";
constexpr std::string_view kWordKeys =
    " dtype kv layout level norm bias eps form rope lens mask window scale softcap attn_bias "
    "attn_mask sink "
    "fill kernel ";
constexpr std::array<std::string_view, 3> kCoverages = {"pairwise", "triplewise", "product"};
const std::set<std::string> kDerivedKeys = {"H", "G", "R", "Dv", "Dn"};

bool is_number_key(std::string_view key) {
  return kNumberKeys.find(concat(' ', key, ' ')) != std::string_view::npos;
}

bool is_key(std::string_view key) {
  return is_number_key(key) || kWordKeys.find(concat(' ', key, ' ')) != std::string_view::npos;
}

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (std::size_t end; (end = text.find(separator)) != std::string_view::npos;
       text.remove_prefix(end + separator.size()))
    parts.emplace_back(text.substr(0, end));
  parts.emplace_back(text);
  return parts;
}

std::string trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

template <class Function>
auto at_position(const std::string& where, Function function) {
  try {
    return function();
  } catch (const Error& error) {
    throw Error(concat(where, ": ", error.what()));
  }
}

/// The value as a case string prints it, so that 7 and 07 are one value.
std::string canonical(const std::string& where, const std::string& key, const std::string& text) {
  Case c;
  ATTEST_CHECK(!is_number_key(key) || !text.starts_with('-'), where, ": ", key,
               " must not be negative, got ", text);
  if (key == "R") return std::to_string(parse_integer(where, key, text, 1, Index{1} << 24));
  return at_position(where, [&] {
    set_key(c, "value", key, text);
    return value_of(c, key);
  });
}

std::string scalar(const YamlNode& node, std::string_view what) {
  node.require(Kind::scalar, what);
  return node.text;
}

Axis parse_axis(const YamlNode& key, const YamlNode& node) {
  Axis axis{split(key.text, ","), {}, key.where};
  for (const std::string& part : axis.keys)
    ATTEST_CHECK(is_key(part), key.where, ": an axis must be one of", kNumberKeys,
                 kWordKeys.substr(1), "or several joined by commas, got ", part);
  const bool linked = axis.keys.size() > 1;
  if (linked) node.require(Kind::list, key.text);
  ATTEST_CHECK(node.kind == Kind::scalar || (node.kind == Kind::list && !node.items.empty()),
               node.where, ": ", key.text, " must be a value or a list of values, got ",
               node.kind == Kind::list ? "an empty list" : name(node.kind));
  const std::vector<YamlNode> single = {node};
  for (const YamlNode& item : node.kind == Kind::list ? node.items : single) {
    if (linked) item.require(Kind::list, concat("a value of ", key.text));
    const std::vector<YamlNode> parts = linked ? item.items : std::vector<YamlNode>{item};
    ATTEST_CHECK(parts.size() == axis.keys.size(), item.where, ": a value of ", key.text,
                 " must have ", axis.keys.size(), " parts, got ", parts.size());
    std::vector<std::string> value;
    for (std::size_t k = 0; k < parts.size(); ++k)
      value.push_back(canonical(parts[k].where, axis.keys[k], scalar(parts[k], axis.keys[k])));
    ATTEST_CHECK(std::find(axis.values.begin(), axis.values.end(), value) == axis.values.end(),
                 item.where, ": a value of ", key.text, " must be given once, got it again");
    axis.values.push_back(std::move(value));
  }
  return axis;
}

bool share_a_key(const Axis& a, const Axis& b) {
  return std::find_first_of(a.keys.begin(), a.keys.end(), b.keys.begin(), b.keys.end()) !=
         a.keys.end();
}

/// The axes of a map. They replace those in `shared` that they share a key with.
std::vector<Axis> parse_axes(const YamlNode& node, std::vector<Axis> shared) {
  node.require(Kind::map, "axes");
  std::vector<Axis> own;
  for (std::size_t n = 0; n < node.items.size(); ++n) {
    Axis axis = parse_axis(node.keys[n], node.items[n]);
    for (const Axis& other : own)
      ATTEST_CHECK(!share_a_key(axis, other), axis.where, ": a key must be in one axis, got ",
                   node.keys[n].text, " beside the axis at ", other.where);
    std::set<std::string> distinct(axis.keys.begin(), axis.keys.end());
    ATTEST_CHECK(distinct.size() == axis.keys.size(), axis.where,
                 ": a key must be in one axis, got ", node.keys[n].text);
    std::erase_if(shared, [&](const Axis& other) { return share_a_key(axis, other); });
    own.push_back(std::move(axis));
  }
  std::move(own.begin(), own.end(), std::back_inserter(shared));
  return shared;
}

Comparison parse_comparison(const std::string& where, const std::string& text) {
  const std::size_t start = text.find_first_of("=!<>");
  const std::size_t end = text.find_first_not_of("=!<>", start);
  ATTEST_CHECK(start != std::string::npos && end != std::string::npos, where,
               ": an exclusion must be comparisons like Sq > Sk joined by &&, got ", text);
  Comparison result{trim(text.substr(0, start)), text.substr(start, end - start),
                    trim(text.substr(end)), false};
  const std::set<std::string> operators = {"==", "!=", "<", "<=", ">", ">="};
  ATTEST_CHECK(operators.contains(result.op), where,
               ": a comparison must be one of == != < <= > >=, got ", result.op);
  ATTEST_CHECK(is_key(result.left), where, ": a comparison must start with one of", kNumberKeys,
               kWordKeys.substr(1), "got ", text);
  const bool numbers = is_number_key(result.left);
  ATTEST_CHECK(numbers || result.op == "==" || result.op == "!=", where, ": ", result.left,
               " must be compared by == or !=, got ", result.op);
  result.right_is_key = is_key(result.right);
  if (!result.right_is_key) {
    result.right = canonical(where, result.left, result.right);
  } else {
    ATTEST_CHECK(numbers && is_number_key(result.right), where,
                 ": two keys that are compared must be numbers, got ", text);
  }
  return result;
}

void parse_exclude(const YamlNode& node, std::vector<Exclusion>& exclude) {
  node.require(Kind::list, "exclude");
  for (const YamlNode& item : node.items) {
    Exclusion exclusion{{}, item.where};
    for (const std::string& part : split(scalar(item, "an exclusion"), "&&"))
      exclusion.all.push_back(parse_comparison(item.where, trim(part)));
    exclude.push_back(std::move(exclusion));
  }
}

/// What a map says of a block, on top of what `block` says already.
Block parse_block(const YamlNode& node, Block block, std::string_view also_known) {
  node.require(Kind::map, "a block");
  block.where = node.where;
  for (std::size_t n = 0; n < node.items.size(); ++n) {
    const std::string& key = node.keys[n].text;
    const YamlNode& value = node.items[n];
    if (key == "variant") {
      const std::string text = scalar(value, key);
      block.variant = at_position(value.where, [&] { return parse_variant(text); });
    } else if (key == "axes") {
      block.axes = parse_axes(value, std::move(block.axes));
    } else if (key == "exclude") {
      parse_exclude(value, block.exclude);
    } else if (key == "coverage") {
      const std::string text = scalar(value, key);
      block.coverage = at_position(value.where, [&] { return parse_coverage(text); });
    } else if (key == "expect") {
      block.expect = parse_integer(value.where, key, scalar(value, key), 1, Index{1} << 20);
      block.expect_where = value.where;
    } else {
      ATTEST_CHECK(key == also_known, node.keys[n].where, ": a key of a block must be one of ",
                   "variant axes exclude coverage expect, got ", key);
    }
  }
  return block;
}

bool has_axis(const Block& block, std::string_view key) {
  return std::any_of(block.axes.begin(), block.axes.end(), [&](const Axis& axis) {
    return std::find(axis.keys.begin(), axis.keys.end(), key) != axis.keys.end();
  });
}

void check_keys(const Block& block) {
  const auto needs = [&](bool holds, std::string_view rule) {
    ATTEST_CHECK(holds, block.where, ": the axes of ", name(block.variant), " must give ", rule);
  };
  for (std::string_view key : {"B", "Sq", "Sk", "D", "dtype"})
    needs(has_axis(block, key), concat(key, ", got none"));
  const bool is_gqa = block.variant == Variant::gqa;
  needs(has_axis(block, "H") != has_axis(block, "R"), "either H or R, got both or none");
  needs(has_axis(block, "G") == is_gqa,
        is_gqa ? "G, got none" : "no G, which follows from H, got one");
  needs(block.variant != Variant::mha || has_axis(block, "H"), "H, got R, which is always 1");
  needs(block.variant != Variant::mla || (has_axis(block, "H") && has_axis(block, "Dr")),
        "H and Dr, got one or none of them");
  for (const Exclusion& exclusion : block.exclude)
    for (const Comparison& comparison : exclusion.all)
      for (const std::string& key : {comparison.left, comparison.right})
        ATTEST_CHECK(!is_key(key) || has_axis(block, key) || kDerivedKeys.contains(key),
                     exclusion.where, ": an exclusion must be about axes of its block, got ", key);
}

void check_complete(const YamlNode& root, const YamlNode& node, const Block& block) {
  for (std::string_view key : {"variant", "axes", "coverage"})
    ATTEST_CHECK(node.find(key) || root.find(key), node.where, ": a block must have ", key,
                 ", got none here or beside blocks");
  ATTEST_CHECK(node.find("expect"), node.where,
               ": a block must have expect, its number of cases, got none");
  check_keys(block);
}

}  // namespace

std::string_view name(Coverage coverage) { return kCoverages[static_cast<std::size_t>(coverage)]; }

Coverage parse_coverage(std::string_view text) {
  const auto found = std::find(kCoverages.begin(), kCoverages.end(), text);
  ATTEST_CHECK(found != kCoverages.end(),
               "coverage: must be one of pairwise triplewise product, got ", text);
  return static_cast<Coverage>(found - kCoverages.begin());
}

Matrix parse_matrix(std::string_view yaml, std::string_view name) {
  const YamlNode root = parse_yaml(yaml, name);
  const Block shared = parse_block(root, {}, "blocks");
  Matrix matrix{std::string(name), {}};
  const YamlNode* blocks = root.find("blocks");
  if (!blocks) {
    check_complete(root, root, shared);
    matrix.blocks.push_back(shared);
    return matrix;
  }
  blocks->require(Kind::list, "blocks");
  ATTEST_CHECK(!blocks->items.empty(), blocks->where, ": blocks must not be empty, got no block");
  ATTEST_CHECK(!root.find("expect"), root.find("expect")->where,
               ": expect must stand in each block, got it beside blocks");
  for (const YamlNode& node : blocks->items) {
    matrix.blocks.push_back(parse_block(node, shared, ""));
    check_complete(root, node, matrix.blocks.back());
  }
  return matrix;
}

}  // namespace attest
