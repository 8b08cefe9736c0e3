#include "cases/matrix.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

std::string message_of(const std::string& yaml) {
  try {
    cases(parse_matrix(yaml, "m.yaml"));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::vector<std::string> lines_of(const std::string& yaml) {
  std::vector<std::string> lines;
  for (const Case& c : cases(parse_matrix(yaml, "m.yaml"))) lines.push_back(print(c));
  return lines;
}

/// A small valid matrix, one line each, with `changed` in place of the line that starts like it.
std::string matrix(const std::string& changed = "", const std::string& more = "") {
  std::string text;
  for (const std::string line :
       {"variant: mha", "coverage: product", "expect: 2", "axes:", "  B: 1", "  Sq: 2",
        "  Sk: [3, 5]", "  H: 4", "  D: 64", "  dtype: bf16"}) {
    const bool replace =
        !changed.empty() && line.substr(0, line.find(':')) == changed.substr(0, changed.find(':'));
    text += (replace ? changed : line) + "\n";
  }
  return text + more;
}

/// A folder of files that is gone at the end of the test.
struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "attest-XXXXXX").string();
    if (!mkdtemp(name.data())) throw InfraError("test: no temporary folder");
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path write(const std::string& file, const std::string& text) const {
    std::ofstream(path / file) << text;
    return path / file;
  }
};

}  // namespace

TEST_CASE("a block is the product of its axes, later axes fastest") {
  CHECK(lines_of(matrix()) == std::vector<std::string>{"mha B=1 Sq=2 Sk=3 H=4 G=4 D=64 dtype=bf16",
                                                       "mha B=1 Sq=2 Sk=5 H=4 G=4 D=64 "
                                                       "dtype=bf16"});
}

TEST_CASE("what the file says wrong is named with line and column") {
  const auto [yaml, message] = GENERATE(table<std::string, std::string>({
      // The shape of the file.
      {"", "m.yaml: must hold one YAML document, got 0"},
      {"[1]", "m.yaml:1:1: a block must be a map, got a list"},
      {"a: [", "m.yaml:1:1: must be YAML, got end of sequence flow not found"},
      {matrix() + "---\n" + matrix(), "m.yaml: must hold one YAML document, got 2"},
      {matrix("", "colour: red\n"),
       "m.yaml:11:1: a key of a block must be one of variant axes "
       "exclude coverage expect, got colour"},
      {matrix("", "expect: 3\n"), "m.yaml:11:1: a key must be given once, got expect again"},
      {matrix("  H: 4\n  H: 5"), "m.yaml:9:3: a key must be given once, got H again"},
      {matrix("", "? [a]\n: 1\n"), "m.yaml:11:3: a key must be a scalar, got a list"},
      {"a: &a [*a]", "nesting must be at most 10 deep"},
      {matrix("variant: nha"), "m.yaml:1:10: variant: must be one of mha gqa mqa mla, got nha"},
      {matrix("variant: [mha]"), "m.yaml:1:10: variant must be a scalar, got a list"},
      {matrix("coverage: 3-way"),
       "m.yaml:2:11: coverage: must be one of pairwise triplewise product, got 3-way"},
      {matrix("expect: two"),
       "m.yaml:3:9: expect must be a whole number in [1, 1048576], got "
       "expect=two"},
      {"variant: mha\n", "m.yaml:1:1: a block must have axes, got none"},
      {"blocks: []\n", "m.yaml:1:9: blocks must not be empty"},
      {"blocks: 3\n", "m.yaml:1:9: blocks must be a list, got 3"},
      {"expect: 2\nblocks: [{variant: mha}]\n", "m.yaml:1:9: expect must stand in each block"},
      {"blocks: [{variant: mha, blocks: []}]\n", "m.yaml:1:25: a key of a block must be one of"},
      // Axes.
      {matrix("axes: 3\nx:"), "m.yaml:4:7: axes must be a map, got 3"},
      {matrix("  H: 4\n  backend: gpu"), "m.yaml:9:3: an axis must be one of"},
      {matrix("  H: []"), "m.yaml:8:6: H must be a value or a list of values, got an empty list"},
      {matrix("  H:"), "H must be a value or a list of values, got nothing"},
      {matrix("  H: {a: 1}"), "m.yaml:8:6: H must be a value or a list of values, got a map"},
      {matrix("  H: [[4]]"), "m.yaml:8:7: H must be a scalar, got a list"},
      {matrix("  H: [4, ~]"), "m.yaml:8:10: H must be a scalar, got nothing"},
      {matrix("  H: 4x"), "m.yaml:8:6: value: H must be a whole number"},
      {matrix("  H: 1.5"), "m.yaml:8:6: value: H must be a whole number"},
      {matrix("  H: -4"), "m.yaml:8:6: H must not be negative, got -4"},
      {matrix("  H: [4, 5, 04]"), "m.yaml:8:13: a value of H must be given once"},
      {matrix("  dtype: [bf16, fp15]"), "m.yaml:10:17: dtype: must be one of"},
      {matrix("  H: 4\n  fill: nrmal"), "m.yaml:9:9: fill: must be one of"},
      {matrix("  H: 4\n  kernel: magic"), "m.yaml:9:11: kernel: must be one of"},
      {matrix("  H: 4\n  splits: 70000"), "m.yaml:9:11: value: splits must be a whole number"},
      {matrix("  H: 4\n  \"D,Dv\": [[64, 64]]"), "m.yaml:10:3: a key must be in one axis, got D"},
      {matrix("  D: 64\n  \"seed,seed\": [[1, 1]]"),
       "10:3: a key must be in one axis, got seed,seed"},
      {matrix("  D: 64\n  \"Dv,seed\": [[64]]"),
       "m.yaml:10:15: a value of Dv,seed must have 2 "
       "parts, got 1"},
      {matrix("  D: 64\n  \"Dv,seed\": 3"), "m.yaml:10:14: Dv,seed must be a list, got 3"},
      {matrix("  D: 64\n  \"Dv,seed\": [3]"), "a value of Dv,seed must be a list, got 3"},
      // Keys of a variant.
      {matrix("  H: 4\n  G: 4"), "m.yaml:1:1: the axes of mha must give no G"},
      {matrix("  H: 4\n  R: 1"), "must give either H or R, got both or none"},
      {"variant: mha\ncoverage: product\nexpect: 1\naxes: {B: 1, Sq: 2, Sk: 3, R: 1, D: 8, dtype: "
       "bf16}",
       "m.yaml:1:1: the axes of mha must give H, got R"},
      {"variant: mha\ncoverage: product\nexpect: 1\naxes: {B: 1, Sq: 2, H: 3, D: 8, dtype: bf16}",
       "m.yaml:1:1: the axes of mha must give Sk, got none"},
      {"variant: mha\ncoverage: product\naxes: {B: 1, Sq: 2, H: 3, D: 8, dtype: bf16}",
       "m.yaml:1:1: a block must have expect"},
      {matrix("variant: gqa"), "the axes of gqa must give G, got none"},
      {matrix("variant: mqa") + "  G: 1\n", "the axes of mqa must give no G"},
      // Exclusions.
      {matrix("", "exclude: Sq > Sk\n"), "m.yaml:11:10: exclude must be a list, got Sq > Sk"},
      {matrix("", "exclude: [Sq]\n"), "an exclusion must be comparisons like Sq > Sk"},
      {matrix("", "exclude: [Sq >]\n"), "an exclusion must be comparisons like Sq > Sk"},
      {matrix("", "exclude: [Sq > Sk &&]\n"), "an exclusion must be comparisons like Sq > Sk"},
      {matrix("", "exclude: [Sq = Sk]\n"), "must be one of == != < <= > >=, got ="},
      {matrix("", "exclude: [Sq + 1 > Sk]\n"), "a comparison must start with one of"},
      {matrix("", "exclude: [Sq > Sk + 1]\n"), "Sq must be a whole number"},
      {matrix("", "exclude: [1 < Sq]\n"), "a comparison must start with one of"},
      {matrix("", "exclude: [dtype < fp16]\n"), "dtype must be compared by == or !=, got <"},
      {matrix("", "exclude: [dtype == fp15]\n"), "m.yaml:11:11: dtype: must be one of"},
      {matrix("", "exclude: [dtype == D]\n"), "two keys that are compared must be numbers"},
      {matrix("", "exclude: [seed == 3]\n"),
       "an exclusion must be about axes of its block, got "
       "seed"},
      {matrix("", "exclude: [R == 1]\n"), "an exclusion must depend on an axis"},
      // Cases.
      {matrix("expect: 3"), "m.yaml:3:9: expect must be the number of cases, declared 3, got 2"},
      {matrix("", "exclude: [Sk == 5]\n"),
       "m.yaml:7:3: every value must occur in a case, got none "
       "with Sk=5"},
      {matrix("  H: 0"),
       "m.yaml:1:1: every case must be a valid problem, got mha B=1 Sq=2 Sk=3 "
       "H=0 G=0 D=64 dtype=bf16 (problem: H must lie in"},
  }));
  CAPTURE(yaml);
  CHECK_THAT(message_of(yaml), Catch::Contains(message));
}

TEST_CASE("an invalid problem is an error unless it is excluded") {
  const std::string gqa = matrix("variant: gqa") + "  G: [2, 3]\n";
  CHECK_THAT(message_of(gqa), Catch::Contains("got gqa B=1 Sq=2 Sk=3 H=4 G=3 D=64 dtype=bf16") &&
                                  Catch::Contains("H must be a multiple of G"));
  const std::string wide = matrix("  H: [4, 6]", "  G: [2, 3]\nexclude: [H == 4 && G == 3]\n");
  CHECK_THAT(message_of("variant: gqa\n" + wide.substr(wide.find('\n') + 1)),
             Catch::Contains("declared 2, got 6"));
}

TEST_CASE("R is H / G, linked axes move together, G follows the variant") {
  CHECK(lines_of(R"(
variant: gqa
coverage: product
expect: 4
axes: {B: 1, "Sq,Sk": [[2, 9], [5, 4]], R: [3, 7], G: 2, D: 64, Dv: 32, dtype: fp16}
)") == std::vector<std::string>{"gqa B=1 Sq=2 Sk=9 H=6 G=2 D=64 Dv=32 dtype=fp16",
                                "gqa B=1 Sq=2 Sk=9 H=14 G=2 D=64 Dv=32 dtype=fp16",
                                "gqa B=1 Sq=5 Sk=4 H=6 G=2 D=64 Dv=32 dtype=fp16",
                                "gqa B=1 Sq=5 Sk=4 H=14 G=2 D=64 Dv=32 dtype=fp16"});
  CHECK(lines_of(R"(
variant: mqa
coverage: product
expect: 1
axes: {R: 5, B: 2, Sq: 3, Sk: 4, D: 72, dtype: fp16, kernel: decode, splits: 3, schedule: 9}
)") == std::vector<std::string>{"mqa B=2 Sq=3 Sk=4 H=5 G=1 D=72 dtype=fp16 | kernel=decode "
                                "splits=3 schedule=9"});
}

TEST_CASE("exclusions compare numbers as numbers, axes with axes, and derived keys") {
  const auto count = [](const std::string& exclude) {
    const std::string message = message_of(R"(
variant: gqa
coverage: product
expect: 99
axes: {B: 1, Sq: [2, 10, 100], Sk: [9, 10, 11], R: [1, 2], G: [1, 2, 4], D: [64, 128], dtype: fp16}
exclude: [)" + exclude + "]\n");
    const std::size_t got = message.find("got ") + 4;
    return std::stoi(message.substr(got, message.find(';', got) - got));
  };
  CHECK(count("") == 108);
  CHECK(count("Sq > Sk && D == 64") == 108 - 4 * 6);
  CHECK(count("Sq >= Sk && D == 64") == 108 - 5 * 6);
  CHECK(count("Sq < Sk && D == 64") == 108 - 4 * 6);
  CHECK(count("Sq<=Sk&&D==64") == 108 - 5 * 6);
  CHECK(count("Sq != Sk && D == 64") == 108 - 8 * 6);
  CHECK(count("Dv == 64 && Sq == 2") == 108 - 18);
  CHECK(count("H == 4") == 108 - 2 * 18);       // R G = 1*4, 2*2
  CHECK(count("H > 4 && Sk == 9") == 108 - 6);  // 2*4
  CHECK(count("H == G && D == Dv && Sq == 2") == 108 - 3 * 3 * 2);
  CHECK(count("Sq == 2 && Sk == 9, Sq == 2 && Sk == 9 && D == 64") == 108 - 12);
}

TEST_CASE("what stands beside blocks is shared: axes are replaced, exclusions added") {
  CHECK(lines_of(R"(
coverage: product
axes: {B: 1, Sq: 2, Sk: [3, 5], H: 4, D: 64, dtype: bf16}
exclude: [Sk == 5 && D == 64]
blocks:
  - variant: mha
    axes: {"D,Dv": [[64, 64], [72, 40]]}
    expect: 3
  - variant: mqa
    axes: {"Sq,Sk": [[7, 8], [2, 5]], D: [64, 72]}
    exclude: [D == 72 && Sq == 7]
    expect: 2
)") == std::vector<std::string>{"mha B=1 Sq=2 Sk=3 H=4 G=4 D=64 dtype=bf16",
                                "mha B=1 Sq=2 Sk=3 H=4 G=4 D=72 Dv=40 dtype=bf16",
                                "mha B=1 Sq=2 Sk=5 H=4 G=4 D=72 Dv=40 dtype=bf16",
                                "mqa B=1 Sq=7 Sk=8 H=4 G=1 D=64 dtype=bf16",
                                "mqa B=1 Sq=2 Sk=5 H=4 G=1 D=72 dtype=bf16"});
}

TEST_CASE("equal cases of several blocks or files count once, in the order they first came") {
  const Folder folder;
  const auto one = folder.write("one.yaml", matrix());
  const auto two = folder.write("two.yaml", matrix("  Sk: [5, 7]"));
  std::vector<std::string> lines;
  for (const Case& c : load_cases({one, two, one})) lines.push_back(value_of(c, "Sk"));
  CHECK(lines == std::vector<std::string>{"3", "5", "7"});
}

TEST_CASE("a list names matrices, relative to itself, and case strings") {
  const Folder folder;
  std::filesystem::create_directory(folder.path / "ci");
  folder.write("one.yaml", matrix());
  const auto list = folder.write("ci/tier.list",
                                 "# a comment\n\n  ../one.yaml  # with a reason\r\n"
                                 "mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | kernel=decode # last\n");
  const auto all = load_cases({list});
  REQUIRE(all.size() == 3);
  CHECK(print(all.back()) == "mha B=1 Sq=1 Sk=9 H=2 G=2 D=64 dtype=bf16 | kernel=decode");
  CHECK(load_cases({folder.write("ci/all.list", "tier.list\n")}) == load_cases({list}));
  CHECK_THROWS_WITH(load_cases({folder.write("loop.list", "loop.list\n")}),
                    Catch::Contains("does a list name itself?"));
  CHECK(load_cases({folder.write("empty.list", "# nothing\n")}).empty());
}

TEST_CASE("a list can ask for more coverage than a matrix promises, never for less") {
  const Folder folder;
  const auto counts = [&](const std::string& list) {
    std::vector<std::size_t> result;
    for (const Block& block : load_blocks({folder.write("tier.list", list)}))
      result.push_back(cases(block).size());
    return result;
  };
  const std::string axes =
      "axes: {B: [1, 2], Sq: [3, 5], Sk: [7, 9], H: 4, D: [64, 72], dtype: bf16}\n";
  folder.write("pairs.yaml", "variant: mha\ncoverage: pairwise\nexpect: 6\n" + axes);
  folder.write("all.yaml", "variant: mha\ncoverage: product\nexpect: 16\n" + axes);
  folder.write("both.list", "pairs.yaml\nall.yaml\n");
  const auto pairs = counts("pairs.yaml").front();
  const auto triples = counts("pairs.yaml  coverage=triplewise  # why\n").front();
  CHECK(triples >= 8);
  CHECK(triples < 16);
  CHECK(pairs < triples);
  CHECK(counts("both.list") == std::vector<std::size_t>{pairs, 16});
  CHECK(counts("both.list coverage=triplewise") == std::vector<std::size_t>{triples, 16});
  CHECK(counts("both.list coverage=pairwise") == std::vector<std::size_t>{pairs, 16});
  CHECK(counts("pairs.yaml coverage=product") == std::vector<std::size_t>{16});
  folder.write("triples.list", "both.list coverage=triplewise\n");
  CHECK(counts("triples.list coverage=pairwise") == std::vector<std::size_t>{triples, 16});
  // A triplewise block starts with the cases of the pairwise one.
  const auto few = load_cases({folder.path / "pairs.yaml"});
  const auto many = load_cases({folder.write("tier.list", "pairs.yaml coverage=triplewise\n")});
  CHECK(std::equal(few.begin(), few.end(), many.begin()));
  CHECK_THROWS_WITH(counts("\npairs.yaml coverage=most"),
                    Catch::Contains("tier.list:2: ") &&
                        Catch::Contains("must be one of pairwise triplewise product, got most"));
}

TEST_CASE(
    "a list that cannot be used says which line, a file that cannot be read is an I/O error") {
  const Folder folder;
  const auto load = [](const std::filesystem::path& path) { load_cases({path}); };
  CHECK_THROWS_WITH(
      load(folder.write("bad.list", "\nmha B=1\n")),
      Catch::Contains("bad.list:2: a line must be a .yaml or .list file or a case string, "
                      "got mha B=1 (case: Sq must be given"));
  CHECK_THROWS_AS(load(folder.write("lost.list", "lost.yaml\n")), InfraError);
  CHECK_THROWS_AS(load(folder.path / "lost.yaml"), InfraError);
  CHECK_THROWS_WITH(load(folder.path / "case.txt"), Catch::Contains("end in .yaml or .list"));
}
