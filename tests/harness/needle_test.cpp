// Fill needle: the margin, the exact answer, and what V spells.
#include <cmath>
#include <set>

#include "harness/fills.h"
#include "tests/catch.h"
#include "tests/harness/naive.h"

using namespace attest;
using namespace attest::naive;

TEST_CASE("the needle leads by 110 nats and o is its V, exactly, under every mask") {
  const Index D = GENERATE(24, 64, 72, 128, 192);
  const auto [Sq, Sk] = GENERATE(table<Index, Index>({{11, 150}, {20, 20}, {30, 9}, {3, 1}}));
  const std::string mask = GENERATE("none", "causal", "causal_top_left");
  const Inputs in(parse_problem(concat("gqa B=2 Sq=", Sq, " Sk=", Sk, " H=4 G=2 D=", D,
                                       " Dv=12 dtype=bf16 fill=needle seed=4 mask=", mask)));
  CAPTURE(print(in.problem));
  double margin = HUGE_VAL;
  Index wrong = 0;
  for (const ScoreRow& row : score_rows(in)) {
    margin = std::min(margin, row.margin());
    for (Index d = 0; d < 12; ++d)
      wrong += attend(row, in.v, d).o != in.v.at(row.b, row.winner(), row.g, d);
  }
  CHECK(margin >= 110);
  CHECK(wrong == 0);
}

TEST_CASE("no weight but the needle's is left in fp32") { CHECK(std::exp(-110.0f) == 0); }

TEST_CASE("the margin holds at every D for the nearest keys, which differ in one bit") {
  const Streams streams(0);
  for (Index D = 8; D <= 256; ++D) {
    const Problem p =
        parse_problem(concat("mha B=1 Sq=1 Sk=8388608 H=1 D=", D, " Dv=8 dtype=fp16 fill=needle"));
    std::vector<double> q(static_cast<std::size_t>(D)), k = q;
    recipe(Fill::needle).q({p, streams, streams.q, 0, 0, 0}, q);  // points at key 0
    const auto score = [&](Index j) {
      recipe(Fill::needle).k({p, streams, streams.k, 0, j, 0}, k);
      double dot = 0;
      for (std::size_t d = 0; d < q.size(); ++d) dot += q[d] * k[d];
      return dot * (1 / std::sqrt(static_cast<double>(p.D)));
    };
    CAPTURE(D);
    for (Index bit = 0; bit < std::min<Index>(D, 24); ++bit)
      CHECK(score(0) - score(Index{1} << bit) >= 110);
    CHECK(score(0) < 3000);
  }
}

TEST_CASE("needles lie at both ends, at tile edges, in the middle and elsewhere") {
  const Inputs in(parse_problem("mha B=1 Sq=64 Sk=300 H=4 D=64 dtype=bf16 fill=needle"));
  std::set<Index> found;
  for (const ScoreRow& row : score_rows(in)) found.insert(row.winner());
  for (const Index key : {0, 299, 298, 150, 1, 63, 64, 65, 127, 128, 129, 191, 192, 193, 257}) {
    CAPTURE(key);
    CHECK(found.contains(key));
  }
  CHECK(found.size() > 25);
}

TEST_CASE("a needle of a causal row is a key that the row sees, its own last one among them") {
  Inputs in(parse_problem("mha B=1 Sq=70 Sk=70 H=8 D=32 dtype=bf16 mask=causal fill=needle"));
  in.problem.mask = Mask::none;  // the inputs stay: every row now looks at all keys
  Index own_last = 0;
  for (const ScoreRow& row : score_rows(in)) {
    CHECK(row.winner() <= row.i);
    own_last += row.winner() == row.i;
  }
  CHECK(own_last >= 70);
}

TEST_CASE("needles of a batch entry lie within its own keys") {
  const Inputs in(parse_problem(
      "mha B=4 Sq=40 Sk=70 H=8 D=32 dtype=bf16 lens=70,2,65,33 mask=causal fill=needle"));
  Index rows = 0;
  for (const ScoreRow& row : score_rows(in)) {
    if (row.s.size() < 2) continue;
    CAPTURE(row.b, row.i, row.h);
    CHECK(row.margin() >= 110);
    ++rows;
  }
  CHECK(rows == (40 + 1 + 40 + 32) * 8);
}

TEST_CASE("V spells the key, its head, its batch and the channel") {
  const Inputs in(parse_problem("mha B=2 Sq=1 Sk=5000 H=20 D=24 dtype=bf16 fill=needle"));
  const Index key = 0x1257, head = 0x12, b = 1;
  const Index digits[] = {7, 5, 2, 1, 0, 0, 2, 1, 1, 0};
  for (Index d = 0; d < 24; ++d) {
    CAPTURE(d);
    CHECK(in.v.at(b, key, head, d) == static_cast<double>(16 * (d % 16) + digits[d % 10] + 1));
  }
}

TEST_CASE("with fewer channels than key bits, keys that share a code share their V") {
  const Inputs in(parse_problem("mha B=1 Sq=8 Sk=600 H=1 D=8 dtype=bf16 fill=needle"));
  for (Index d = 0; d < 8; ++d) {
    CHECK(in.k.at(0, 5, 0, d) == in.k.at(0, 5 + 512, 0, d));
    CHECK(in.v.at(0, 5, 0, d) == in.v.at(0, 5 + 512, 0, d));
  }
  for (const ScoreRow& row : score_rows(in)) {
    const auto tied = std::ranges::count(row.s, row.max());
    CHECK((tied == 2 || tied == 3));  // 600 keys, 256 codes
    for (const double s : row.s) CHECK((s == row.max() || s <= row.max() - 110));
    CHECK(attend(row, in.v, 3).o == in.v.at(0, row.winner(), 0, 3));
  }
}

TEST_CASE("key/value heads and batches have codes of their own") {
  const Inputs in(parse_problem("gqa B=2 Sq=8 Sk=40 H=4 G=2 D=64 dtype=bf16 fill=needle"));
  const auto equal_channels = [&](Index b, Index g) {
    Index equal = 0;
    for (Index d = 0; d < 64; ++d) equal += in.k.at(0, 7, 0, d) == in.k.at(b, 7, g, d);
    return equal;
  };
  CHECK(equal_channels(0, 1) < 48);  // 32 expected, standard deviation 4
  CHECK(equal_channels(1, 0) < 48);
}
