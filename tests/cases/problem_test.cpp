#include "cases/problem.h"

#include "cases/case.h"
#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {
std::string message_of(std::string_view text) {
  try {
    parse_case(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}
}  // namespace

TEST_CASE("a case string prints in canonical order and reads back equal") {
  const Problem p =
      parse_problem("gqa seed=7 fill=peaked mask=causal dtype=bf16 D=128 G=2 H=8 Sk=320 Sq=64 B=2");
  CHECK(print(p) == "gqa B=2 Sq=64 Sk=320 H=8 G=2 D=128 dtype=bf16 mask=causal fill=peaked seed=7");
  CHECK(parse_problem(print(p)) == p);
}

TEST_CASE("keys at their default are not printed, Dv follows D") {
  CHECK(print(parse_problem(
            "mqa B=1 Sq=2 Sk=3 H=4 D=64 Dv=64 dtype=fp16 mask=none fill=normal seed=0")) ==
        "mqa B=1 Sq=2 Sk=3 H=4 G=1 D=64 dtype=fp16");
  CHECK(print(parse_problem("mha B=1 Sq=2 Sk=3 H=4 D=192 Dv=128 dtype=fp16")) ==
        "mha B=1 Sq=2 Sk=3 H=4 G=4 D=192 Dv=128 dtype=fp16");
}

TEST_CASE("both forms of mla print what cannot be derived") {
  for (const char* text :
       {"mla B=1 Sq=5 Sk=193 H=7 G=7 D=192 Dv=128 dtype=bf16 Dr=64 mask=causal",
        "mla B=2 Sq=1 Sk=65 H=16 G=1 D=576 Dv=512 dtype=bf16 form=absorbed Dn=128 Dr=64",
        "mla B=2 Sq=1 Sk=65 H=16 G=1 D=24 Dv=16 dtype=bf16 form=absorbed Dn=16 Dr=8 "
        "rope=yarn:factor:40,orig:4096,mscale_all_dim:1 fill=peaked seed=3"}) {
    CHECK(print(parse_problem(text)) == text);
    CHECK(parse_problem(print(parse_problem(text))) == parse_problem(text));
  }
  CHECK(
      print(parse_problem("mla B=2 Sq=1 Sk=65 H=16 D=576 dtype=bf16 form=absorbed Dn=128 Dr=64")) ==
      "mla B=2 Sq=1 Sk=65 H=16 G=1 D=576 Dv=512 dtype=bf16 form=absorbed Dn=128 Dr=64");
}

TEST_CASE("a paged problem has a table as wide as its pages and two spare pages") {
  const Problem p = parse_problem("mha B=3 Sq=1 Sk=17 H=1 D=64 dtype=bf16 page=8 mask=causal");
  CHECK(print(p) == "mha B=3 Sq=1 Sk=17 H=1 G=1 D=64 dtype=bf16 page=8 mask=causal");
  CHECK(p.table_width() == 3);
  CHECK(p.pool_pages() == 11);
}

TEST_CASE("the id is the start of SHA-256 over the canonical string") {
  // printf 'mha B=1 Sq=1 Sk=1 H=1 G=1 D=64 dtype=bf16' | sha256sum
  CHECK(case_id(Problem{}) == "4f1934871428140e");
}

TEST_CASE("how a case runs follows a bar and is no part of the problem") {
  const Case c =
      parse_case("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16 | schedule=5 splits=3 kernel=decode");
  CHECK(print(c) ==
        "mha B=1 Sq=1 Sk=9 H=2 G=2 D=64 dtype=bf16 | kernel=decode splits=3 schedule=5");
  CHECK(parse_case(print(c)) == c);
  CHECK(case_id(c.problem) == case_id(parse_problem("mha B=1 Sq=1 Sk=9 H=2 D=64 dtype=bf16")));
}

TEST_CASE("a broken rule is named with the values that break it") {
  const auto [text, rule] = GENERATE(table<std::string, std::string>({
      {"gqa B=1 Sq=1 Sk=1 H=6 G=4 D=64 dtype=bf16", "H must be a multiple of G, got H=6 G=4"},
      {"gqa B=1 Sq=1 Sk=1 H=6 G=0 D=64 dtype=bf16", "G must lie in [1, 16777216], got G=0"},
      {"mha B=1 Sq=1 Sk=1 H=6 G=2 D=64 dtype=bf16", "mha needs G = H"},
      {"mqa B=1 Sq=1 Sk=1 H=6 G=2 D=64 dtype=bf16", "mqa needs G = 1"},
      {"mha B=-1 Sq=1 Sk=1 H=1 D=64 dtype=bf16", "B must lie in"},
      {"mha B=1 Sq=99999999999 Sk=1 H=1 D=64 dtype=bf16", "Sq must lie in"},
      {"mha B=1 Sq=16777216 Sk=1 H=64 D=64 dtype=bf16", "q must have at most 2^31 elements"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64", "dtype must be given"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=fp7", "dtype: must be one of"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16 colour=red", "got colour=red"},
      {"mha B=1 B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16", "got B twice"},
      {"mha B=1x Sq=1 Sk=1 H=1 D=64 dtype=bf16", "got B=1x"},
      {"mha B Sq=1", "each word must be key=value, got B"},
      {"nha B=1", "variant: must be one of mha gqa mqa mla, got nha"},
      {"", "got nothing"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16 Dr=8",
       "form, Dn and Dr belong to mla, got them in mha"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16 rope=default",
       "rope belongs to mla and to level=layer"},
      {"mla B=1 Sq=1 Sk=1 H=2 D=64 dtype=bf16", "Dr must lie in [1, 16777216], got Dr=0"},
      {"mla B=1 Sq=1 Sk=1 H=2 D=64 dtype=bf16 Dr=64", "Dn must lie in"},
      {"mla B=1 Sq=1 Sk=1 H=2 G=1 D=64 dtype=bf16 Dr=8", "mla expanded needs G = H, got H=2 G=1"},
      {"mla B=1 Sq=1 Sk=1 H=2 D=64 dtype=bf16 Dr=8 Dn=48", "D = Dn + Dr, got D=64 Dn=48 Dr=8"},
      {"mla B=1 Sq=1 Sk=1 H=2 G=2 D=72 dtype=bf16 Dr=8 Dn=16 form=absorbed",
       "needs G = 1, got H=2"},
      {"mla B=1 Sq=1 Sk=1 H=2 D=72 Dv=72 dtype=bf16 Dr=8 Dn=16 form=absorbed",
       "D = Dv + Dr, got D=72"},
      {"mla B=1 Sq=1 Sk=1 H=2 D=72 dtype=bf16 Dr=8 Dn=16 form=absorbed fill=onehot",
       "got fill=onehot"},
      {"mla B=1 Sq=1 Sk=1 H=2 D=72 dtype=bf16 Dr=7", "Dr must be even"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16 page=-8",
       "page must lie in [0, 16777216], got page=-8"},
      {"mha B=1 Sq=1 Sk=1 H=64 D=64 dtype=bf16 page=16777216", "k_cache must have at most 2^31"},
      {"mla B=1 Sq=1 Sk=1 H=2 D=72 dtype=bf16 Dr=8 form=both", "form: must be one of"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16 kernel=decode", "keys of a problem are"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16 | B=2", "keys after ' | ' are"},
      {"mha B=1 Sq=1 Sk=1 H=1 D=64 dtype=bf16 | kernel=magic", "kernel: must be one of"},
  }));
  CAPTURE(text);
  CHECK_THAT(message_of(text), Catch::Contains(rule));
}

TEST_CASE("causal masks align with the last key or with the first") {
  Problem p = parse_problem("mha B=1 Sq=2 Sk=5 H=1 D=64 dtype=bf16 mask=causal");
  CHECK(p.visible(0, 0).end == 4);
  CHECK(p.visible(0, 1).end == 5);
  p = parse_problem("mha B=1 Sq=5 Sk=2 H=1 D=64 dtype=bf16 mask=causal");
  CHECK(p.visible(0, 2).end == 0);
  CHECK(p.visible(0, 3).end == 1);
  p.mask = Mask::causal_top_left;
  CHECK(p.visible(0, 0).end == 1);
  CHECK(p.visible(0, 4).end == 2);
}
