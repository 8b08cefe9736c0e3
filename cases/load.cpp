#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>
#include <unordered_set>

#include "cases/error.h"
#include "cases/matrix.h"

namespace attest {
namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file.is_open() || std::filesystem::is_directory(path))
    throw InfraError(concat("cases: a file must be readable, got ", path.string(),
                            "; see the folders cases and ci"));
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<Case> unique(std::vector<Case> all) {
  std::unordered_set<std::string> seen;
  std::vector<Case> result;
  for (Case& c : all)
    if (seen.insert(print(c)).second) result.push_back(std::move(c));
  return result;
}

void append(std::vector<Case>& to, const std::vector<Case>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

std::string content_of(std::string line) {
  line.erase(std::min(line.find('#'), line.size()));
  line.erase(line.find_last_not_of(" \t\r") + 1);
  return line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
}

constexpr std::string_view kCoverageOption = " coverage=";
constexpr int kMaxNesting = 4;  // lists within lists

/// What the files hold, in order: a block, or the case of a line.
struct Visitor {
  std::function<void(const Block&)> block;
  std::function<void(const Case&)> line;
};

void visit_matrix(const std::filesystem::path& path, Coverage least, const Visitor& visitor) {
  for (Block block : load_matrix(path).blocks) {
    if (block.coverage < least) {
      block.coverage = least;
      block.expect = 0;
    }
    visitor.block(block);
  }
}

/// A line of a list: a file, or else a case.
struct Line {
  std::string file = {};
  Coverage least = Coverage::pairwise;
  Case which = {};
};

Line parse_line(const std::string& content) {
  const std::size_t option = content.find(kCoverageOption);
  const std::string file = content_of(content.substr(0, option));
  if (!file.ends_with(".yaml") && !file.ends_with(".list")) return {.which = parse_case(content)};
  if (option == std::string::npos) return {.file = file};
  return {.file = file, .least = parse_coverage(content.substr(option + kCoverageOption.size()))};
}

void visit_list(const std::filesystem::path& path, Coverage least, const Visitor& visitor,
                int nesting = 0) {
  ATTEST_CHECK(nesting <= kMaxNesting, "cases: lists must nest at most ", kMaxNesting,
               " deep, got more at ", path.string(), "; does a list name itself?");
  std::istringstream text(read(path));
  std::string content;
  for (int number = 1; std::getline(text, content); ++number) {
    content = content_of(content);
    if (content.empty()) continue;
    Line line;
    try {
      line = parse_line(content);
    } catch (const Error& error) {
      throw Error(concat(path.string(), ':', number,
                         ": a line must be a .yaml or .list file or a case string, got ", content,
                         " (", error.what(), ")"));
    }
    const auto file = (path.parent_path() / line.file).lexically_normal();
    if (line.file.empty())
      visitor.line(line.which);
    else if (line.file.ends_with(".list"))
      visit_list(file, std::max(least, line.least), visitor, nesting + 1);
    else
      visit_matrix(file, std::max(least, line.least), visitor);
  }
}

void visit(const std::vector<std::filesystem::path>& paths, const Visitor& visitor) {
  for (const std::filesystem::path& path : paths) {
    ATTEST_CHECK(path.extension() == ".yaml" || path.extension() == ".list",
                 "cases: a case file must end in .yaml or .list, got ", path.string());
    if (path.extension() == ".list")
      visit_list(path, Coverage::pairwise, visitor);
    else
      visit_matrix(path, Coverage::pairwise, visitor);
  }
}

}  // namespace

Matrix load_matrix(const std::filesystem::path& path) {
  return parse_matrix(read(path), path.string());
}

std::vector<Case> cases(const Matrix& matrix) {
  std::vector<Case> all;
  for (const Block& block : matrix.blocks) append(all, cases(block));
  return unique(std::move(all));
}

std::vector<Case> load_cases(const std::vector<std::filesystem::path>& paths) {
  std::vector<Case> all;
  visit(paths, {.block = [&](const Block& block) { append(all, cases(block)); },
                .line = [&](const Case& c) { all.push_back(c); }});
  return unique(std::move(all));
}

std::vector<Block> load_blocks(const std::vector<std::filesystem::path>& paths) {
  std::vector<Block> blocks;
  visit(paths, {.block = [&](const Block& block) { blocks.push_back(block); },
                .line = [](const Case&) {}});
  return blocks;
}

}  // namespace attest
