#include "cases/yaml.h"

#include <yaml-cpp/yaml.h>

#include "cases/error.h"

namespace attest {
namespace {

constexpr int kMaxDepth = 10;

std::string position(std::string_view name, const YAML::Mark& mark) {
  return concat(name, ':', mark.line + 1, ':', mark.column + 1);
}

YamlNode convert(const YAML::Node& node, std::string_view name, int depth);

void convert_map(const YAML::Node& node, std::string_view name, int depth, YamlNode& result) {
  for (const auto& entry : node) {
    YamlNode key = convert(entry.first, name, depth + 1);
    key.require(YamlNode::Kind::scalar, "a key");
    ATTEST_CHECK(!result.find(key.text), key.where, ": a key must be given once, got ", key.text,
                 " again; remove one");
    result.keys.push_back(std::move(key));
    result.items.push_back(convert(entry.second, name, depth + 1));
  }
}

YamlNode convert(const YAML::Node& node, std::string_view name, int depth) {
  YamlNode result;
  result.where = position(name, node.Mark());
  ATTEST_CHECK(depth <= kMaxDepth, result.where, ": nesting must be at most ", kMaxDepth,
               " deep, got more; is an alias part of itself?");
  if (node.IsScalar()) {
    result.kind = YamlNode::Kind::scalar;
    result.text = node.Scalar();
  } else if (node.IsSequence()) {
    result.kind = YamlNode::Kind::list;
    for (const YAML::Node& item : node) result.items.push_back(convert(item, name, depth + 1));
  } else if (node.IsMap()) {
    result.kind = YamlNode::Kind::map;
    convert_map(node, name, depth, result);
  }
  return result;
}

}  // namespace

std::string_view name(YamlNode::Kind kind) {
  constexpr std::string_view kNames[] = {"nothing", "a scalar", "a list", "a map"};
  return kNames[static_cast<std::size_t>(kind)];
}

const YamlNode* YamlNode::find(std::string_view key) const {
  for (std::size_t n = 0; n < items.size() && n < keys.size(); ++n)
    if (keys[n].text == key) return &items[n];
  return nullptr;
}

void YamlNode::require(Kind wanted, std::string_view what) const {
  ATTEST_CHECK(kind == wanted, where, ": ", what, " must be ", attest::name(wanted), ", got ",
               kind == Kind::scalar ? text : attest::name(kind));
}

YamlNode parse_yaml(std::string_view text, std::string_view name) {
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(std::string(text));
  } catch (const YAML::Exception& error) {
    throw Error(concat(position(name, error.mark), ": must be YAML, got ", error.msg));
  }
  ATTEST_CHECK(documents.size() == 1, name, ": must hold one YAML document, got ",
               documents.size());
  return convert(documents.front(), name, 0);
}

}  // namespace attest
