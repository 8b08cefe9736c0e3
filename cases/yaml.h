#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace attest {

/// A YAML text as a plain tree that knows where each node stands, so that whoever reads it can
/// refuse what it does not expect. Hides yaml-cpp.
struct YamlNode {
  enum class Kind { null, scalar, list, map };

  Kind kind = Kind::null;
  std::string text;             ///< of a scalar, as written (quotes removed)
  std::vector<YamlNode> items;  ///< of a list; the values of a map
  std::vector<YamlNode> keys;   ///< of a map: scalars, in file order, as many as items
  std::string where;            ///< `name:line:column`, 1-based

  /// The value of a map under `key`, or null.
  const YamlNode* find(std::string_view key) const;

  /// Throws attest::Error `where: what must be a list, got ...` for another kind.
  void require(Kind, std::string_view what) const;
};

std::string_view name(YamlNode::Kind);

/// Reads one YAML document. `name` starts every position. Throws attest::Error for a text that is
/// no YAML, more than one document, a key that is no scalar, a key given twice in one map (which
/// yaml-cpp 0.7 lets pass), and nesting deeper than 10 (an alias can be its own child).
YamlNode parse_yaml(std::string_view text, std::string_view name);

}  // namespace attest
