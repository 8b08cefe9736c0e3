#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cases/case.h"
#include "cases/space.h"

namespace attest {

/// One dimension of a block: keys of a case string that take their values together (mostly one).
struct Axis {
  std::vector<std::string> keys;                 ///< `Sk`; `R` stands for H / G; `D,Dv`: two keys
  std::vector<std::vector<std::string>> values;  ///< [values][keys], as a case string prints them
  std::string where;                             ///< file:line:column, for messages
};

/// `left op right`: of two keys, or of a key and a constant.
struct Comparison {
  std::string left, op, right;  ///< op is one of == != < <= > >=
  bool right_is_key = false;
};

/// Cases in which all comparisons hold are left out.
struct Exclusion {
  std::vector<Comparison> all;
  std::string where;
};

/// From less to more.
enum class Coverage {
  pairwise,    ///< few cases with every pair of axis values that a valid case has (covering.h)
  triplewise,  ///< those, and more, until they hold every triple
  product,     ///< every valid case
};

std::string_view name(Coverage);

/// Throws attest::Error.
Coverage parse_coverage(std::string_view);

/// Axes, what to leave out, and how many cases must come of it.
struct Block {
  Variant variant = Variant::mha;
  std::vector<Axis> axes;
  std::vector<Exclusion> exclude;
  Coverage coverage = Coverage::product;
  Index expect = 0;  ///< number of cases; 0 where a list asks for another coverage
  std::string where, expect_where;
};

/// The content of one matrix file; cases/README.md has the grammar. What stands beside `blocks` is
/// part of every block already.
struct Matrix {
  std::string name;
  std::vector<Block> blocks;
};

/// Reads a matrix; does not expand it. Throws attest::Error `file:line:column: rule, got value;
/// next step` for an unknown or repeated key, a wrong type, a value that no case string may have,
/// an empty axis, a value given twice, an exclusion that is not understood. `name` starts the
/// positions. load_matrix() throws InfraError when the file cannot be read.
Matrix parse_matrix(std::string_view yaml, std::string_view name);
Matrix load_matrix(const std::filesystem::path&);

/// The cases of a block, in a fixed order. Throws attest::Error if they are not as many as the
/// block expects, if one is no valid problem (it names the first), and if a value of an axis
/// occurs in none.
std::vector<Case> cases(const Block&);

/// The cases of all blocks in file order, equal ones once.
std::vector<Case> cases(const Matrix&);

/// The cases of files, equal ones once: `.yaml` is a matrix; `.list` holds one file
/// (relative to the list) or case string a line, `#` starts a comment. A file may be followed by
/// `coverage=triplewise`, which every block in it that promises less then has. ci/ has the lists
/// that make the tiers. Throws what the parts throw, positions `file:line`.
std::vector<Case> load_cases(const std::vector<std::filesystem::path>&);

/// The blocks of the same files in order, with the coverage that the lists ask for.
std::vector<Block> load_blocks(const std::vector<std::filesystem::path>&);

/// The axes of a block as numbers, with its exclusions spelled out.
Space space_of(const Block&);

/// The case that a row of space_of() stands for. Axes with a negative entry keep their default.
Case case_of(const Block&, const Assignment&);

/// Value of a key (or of R), as a case string prints it; defaults too.
std::string value_of(const Case&, std::string_view key);

}  // namespace attest
