#include "harness/pattern.h"

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

/// A small case matrix; `fails` says which of its cases do.
template <class Fails>
std::vector<Record> matrix(Fails fails) {
  std::vector<Record> records;
  for (const char* kernel : {"prefill", "decode"})
    for (const char* mask : {"none", "causal", "causal_top_left"})
      for (const char* fill : {"normal", "peaked", "needle", "heavy", "onehot"})
        for (const char* shape : {"Sq=1 Sk=9", "Sq=4 Sk=9", "Sq=9 Sk=4"}) {
          const Case which =
              parse_case(concat("gqa B=1 ", shape, " H=4 G=2 D=64 dtype=bf16 mask=", mask,
                                " fill=", fill, " | kernel=", kernel));
          records.push_back(unfinished(which, fails(which) ? Verdict::fail : Verdict::pass, ""));
        }
  return records;
}

}  // namespace

TEST_CASE("what failures share and passing cases lack is named, the sharpest key first") {
  CHECK(failure_pattern(matrix([](const Case& c) {
          return c.run.kernel == "decode" && c.problem.mask != Mask::none;
        })) ==
        "all 30 failures have kernel=decode, mask=causal or causal_top_left; of 60 passing cases "
        "none has that");
  CHECK(failure_pattern(matrix([](const Case& c) { return c.problem.fill == Fill::needle; })) ==
        "all 18 failures have fill=needle; of 72 passing cases none has that");
  CHECK(failure_pattern(matrix([](const Case& c) { return c.problem.fill != Fill::needle; })) ==
        "all 72 failures have fill other than needle; of 18 passing cases none has that");
}

TEST_CASE("passing cases that share the failures' values too are counted") {
  CHECK(failure_pattern(matrix([](const Case& c) {
          return c.problem.Sq > c.problem.Sk && c.problem.seed == 0 &&
                 (c.problem.fill != Fill::heavy || c.run.kernel == "decode");
        })) == "all 27 failures have Sq=>Sk; of 63 passing cases 3 have that");
}

TEST_CASE("no pattern is named where chance explains it, or nothing passes, or nothing fails") {
  int every_seventh = 0, one = 0;
  CHECK(failure_pattern(matrix([&](const Case&) { return every_seventh++ % 7 == 0; })).empty());
  CHECK(failure_pattern(matrix([&](const Case&) { return one++ == 41; })).empty());
  CHECK(failure_pattern(matrix([](const Case&) { return true; })).empty());
  CHECK(failure_pattern(matrix([](const Case&) { return false; })).empty());
  CHECK(failure_pattern({}).empty());
}
