#include "harness/coverage_report.h"

#include <algorithm>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

std::vector<Case> cases_of(std::initializer_list<const char*> lines) {
  std::vector<Case> cases;
  for (const char* line : lines) cases.push_back(parse_case(line));
  return cases;
}

std::size_t both(const FeatureTable& table, const std::string& a, const std::string& b) {
  const auto number = [&](const std::string& name) {
    const auto found = std::find(table.names.begin(), table.names.end(), name);
    if (found == table.names.end()) throw Error("no feature " + name);
    return static_cast<std::size_t>(found - table.names.begin());
  };
  return table.count[number(a)][number(b)];
}

Block block_of(const std::string& coverage, const std::string& expect) {
  return parse_matrix("variant: mha\ncoverage: " + coverage + "\nexpect: " + expect +
                          "\naxes: {B: [1, 2], Sq: [3, 5], Sk: [7, 9], H: 4, D: 64, dtype: [bf16, "
                          "fp16], mask: [none, causal]}\nexclude:\n  - B == 1 && mask == causal\n",
                      "dir/m.yaml")
      .blocks.front();
}

}  // namespace

TEST_CASE("features are what a case prints beside sizes and seed, counted in pairs") {
  const FeatureTable table = feature_table(cases_of({
      "mha B=1 Sq=2 Sk=9 H=2 D=64 dtype=bf16 mask=causal seed=4 | kernel=prefill",
      "mha B=1 Sq=2 Sk=9 H=2 D=64 dtype=fp16 page=8 mask=causal | kernel=decode splits=3",
      "gqa B=2 Sq=2 Sk=9 H=2 G=1 D=64 dtype=fp16 lens=3,9 page=16 | kernel=decode",
      "mla B=1 Sq=2 Sk=9 H=2 D=64 dtype=bf16 Dr=8 rope=yarn:factor:40,orig:4096 | kernel=prefill",
  }));
  CHECK(table.cases == 4);
  CHECK(both(table, "mha", "mha") == 2);
  CHECK(both(table, "mha", "mask=causal") == 2);
  CHECK(both(table, "mask=causal", "page") == 1);
  CHECK(both(table, "page", "page") == 2);
  CHECK(both(table, "page", "lens") == 1);
  CHECK(both(table, "kernel=decode", "dtype=fp16") == 2);
  CHECK(both(table, "kernel=prefill", "page") == 0);
  CHECK(both(table, "rope=yarn", "mla") == 1);
  CHECK(both(table, "splits", "mask=causal") == 1);
  for (const char* size : {"Sk", "H", "Dr", "seed"})
    CHECK(std::find(table.keys.begin(), table.keys.end(), size) == table.keys.end());
}

TEST_CASE("a key with many words or with numbers is one feature") {
  std::vector<Case> cases;
  for (const FillInfo& fill : fills())
    if (fill.name != "needle")
      cases.push_back(parse_case(
          concat("mha B=1 Sq=2 Sk=9 H=2 D=64 dtype=bf16 fill=", fill.name, " | kernel=prefill")));
  const FeatureTable table = feature_table(cases);
  CHECK(both(table, "fill", "mha") == cases.size() - 1);  // normal is the default
}

TEST_CASE(
    "the table has a column where a key is missing in some case, and names what never meets") {
  const std::string text = print(feature_table(cases_of({
      "mha B=1 Sq=2 Sk=9 H=2 D=64 dtype=bf16 page=8 | kernel=prefill",
      "gqa B=1 Sq=2 Sk=9 H=4 G=2 D=64 dtype=bf16 mask=causal | kernel=prefill",
      "gqa B=1 Sq=2 Sk=9 H=4 G=2 D=64 dtype=bf16 mask=causal_top_left | kernel=prefill",
  })));
  CHECK_THAT(text, Catch::Contains("cases with                   mask page\n"));
  CHECK_THAT(text, Catch::Contains("gqa                        2    2    .\n"));
  CHECK_THAT(text, Catch::Contains("page                       1    .    -\n"));
  CHECK_THAT(text, Catch::EndsWith("\nno case has both:\n  mha: mask\n  gqa: page\n"
                                   "  mask=causal: page\n  mask=causal_top_left: page\n"));
}

TEST_CASE("a block's line says covered, infeasible, missing, and the last line what is missing") {
  const Block block = block_of("pairwise", "7");
  std::vector<Case> cases = attest::cases(block);
  const CoverageText whole = coverage_text(std::vector{block}, cases);
  CHECK(whole.missing == 0);
  CHECK_THAT(whole.text, Catch::Contains("m.yaml:1") && Catch::EndsWith("\n0 missing\n"));
  CHECK_THAT(whole.text, Catch::Contains("pairwise") && Catch::Contains("("));
  // Axes of 2, 2, 2, 1, 1, 2, 2 values: 10 pairs of axes with 4 pairs of values, 10 with 2, 1
  // with 1.
  CHECK_THAT(whole.text, Catch::Contains(" 60           1        0        146 "));
  cases.pop_back();
  const CoverageText less = coverage_text(std::vector{block}, cases);
  CHECK(less.missing > 0);
  CHECK_THAT(less.text, Catch::EndsWith(concat('\n', less.missing, " missing\n")));
  CHECK_THAT(less.text, Catch::Contains("missing in m.yaml:1: "));
}

TEST_CASE("triples count as missing only where the block promises them") {
  Block block = block_of("pairwise", "7");
  const std::vector<Case> pairs = cases(block);
  CHECK(coverage_text(std::vector{block}, pairs).missing == 0);
  block.coverage = Coverage::triplewise;
  CHECK(coverage_text(std::vector{block}, pairs).missing > 0);
  block.expect = 0;
  CHECK(coverage_text(std::vector{block}, cases(block)).missing == 0);
}
