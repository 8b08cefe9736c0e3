#include <algorithm>
#include <fstream>
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

constexpr int kMaxNesting = 4;  // lists within lists

std::vector<Case> load_list(const std::filesystem::path& path, int nesting = 0) {
  ATTEST_CHECK(nesting <= kMaxNesting, "cases: lists must nest at most ", kMaxNesting,
               " deep, got more at ", path.string(), "; does a list name itself?");
  std::vector<Case> result;
  std::istringstream lines(read(path));
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string content = content_of(line);
    if (content.empty()) continue;
    if (content.ends_with(".yaml")) {
      append(result, cases(load_matrix((path.parent_path() / content).lexically_normal())));
      continue;
    }
    if (content.ends_with(".list")) {
      append(result, load_list((path.parent_path() / content).lexically_normal(), nesting + 1));
      continue;
    }
    try {
      result.push_back(parse_case(content));
    } catch (const Error& error) {
      throw Error(concat(path.string(), ':', number,
                         ": a line must be a .yaml or .list file or a case string, got ", content,
                         " (", error.what(), ")"));
    }
  }
  return result;
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
  for (const std::filesystem::path& path : paths) {
    ATTEST_CHECK(path.extension() == ".yaml" || path.extension() == ".list",
                 "cases: a case file must end in .yaml or .list, got ", path.string());
    append(all, path.extension() == ".list" ? load_list(path) : cases(load_matrix(path)));
  }
  return unique(std::move(all));
}

}  // namespace attest
