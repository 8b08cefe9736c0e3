#include "reference/mask.h"

#include <string>
#include <vector>

#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using reference::Emit;

namespace {

// One line a query, one letter a key: x where it is seen.
struct Drawing {
  const char* name;
  Mask mask;
  Window window;
  Index Sq, Sk;
  std::vector<std::string> lines;
};

const std::vector<Drawing> kDrawings = {
    {"none 2x5", Mask::none, {}, 2, 5, {"xxxxx", "xxxxx"}},
    {"none 5x2", Mask::none, {}, 5, 2, {"xx", "xx", "xx", "xx", "xx"}},
    {"causal 2x5", Mask::causal, {}, 2, 5, {"xxxx.", "xxxxx"}},
    {"causal 5x2", Mask::causal, {}, 5, 2, {"..", "..", "..", "x.", "xx"}},
    {"causal 3x3", Mask::causal, {}, 3, 3, {"x..", "xx.", "xxx"}},
    {"causal_top_left 2x5", Mask::causal_top_left, {}, 2, 5, {"x....", "xx..."}},
    {"causal_top_left 5x2", Mask::causal_top_left, {}, 5, 2, {"x.", "xx", "xx", "xx", "xx"}},
    {"causal_top_left 3x3", Mask::causal_top_left, {}, 3, 3, {"x..", "xx.", "xxx"}},
    // Both ends of a window are included; -1: no bound.
    {"window 1,0 3x5", Mask::none, {1, 0}, 3, 5, {".xx..", "..xx.", "...xx"}},
    {"window 0,0 2x4", Mask::none, {0, 0}, 2, 4, {"..x.", "...x"}},
    {"window 1,1 5x2", Mask::none, {1, 1}, 5, 2, {"..", "..", "x.", "xx", "xx"}},
    {"window 2,-1 2x5", Mask::none, {2, -1}, 2, 5, {".xxxx", "..xxx"}},
    {"window -1,1 4x3", Mask::none, {-1, 1}, 4, 3, {"x..", "xx.", "xxx", "xxx"}},
    {"window 1,-1 causal 3x5", Mask::causal, {1, -1}, 3, 5, {".xx..", "..xx.", "...xx"}},
    {"window 0,-1 causal 4x2", Mask::causal, {0, -1}, 4, 2, {"..", "..", "x.", ".x"}},
    {"window 1,-1 top left 4x2", Mask::causal_top_left, {1, -1}, 4, 2, {"x.", "xx", ".x", ".."}},
};

bool seen(const Drawing& drawing, Index i, Index j) {
  return drawing.lines.at(std::size_t(i)).at(std::size_t(j)) == 'x';
}

}  // namespace

TEST_CASE("each mask shows the keys that its drawing shows") {
  for (const Drawing& drawing : kDrawings)
    for (Index i = 0; i < drawing.Sq; ++i) {
      CAPTURE(drawing.name, i);
      const KeyRange keys =
          reference::visible_keys(drawing.mask, drawing.window, drawing.Sq, drawing.Sk, i);
      for (Index j = 0; j < drawing.Sk; ++j)
        CHECK((j >= keys.begin && j < keys.end) == seen(drawing, i, j));
    }
}

TEST_CASE("values of keys outside the drawing never reach the output") {
  // All scores are 0 and v[j] = 2^j: the output is the sum of the seen values over their number.
  for (const Drawing& drawing : kDrawings) {
    Problem p = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=1 dtype=fp64");
    p.Sq = drawing.Sq, p.Sk = drawing.Sk, p.mask = drawing.mask, p.window = drawing.window;
    const auto zero = [](Index, Index, Index, Index) { return 0.0; };
    const auto power = [](Index, Index j, Index, Index) { return double(1 << j); };
    const Truth t =
        reference::attend(p, naive::inputs(p, zero, zero, power), Emit::outputs_and_conditioning);
    for (Index i = 0; i < p.Sq; ++i) {
      CAPTURE(drawing.name, i);
      double sum = 0, count = 0;
      for (Index j = 0; j < p.Sk; ++j)
        if (seen(drawing, i, j)) sum += double(1 << j), ++count;
      CHECK(t.outputs.at("o").value(i) == Approx(count > 0 ? sum / count : 0).epsilon(1e-15));
      CHECK(t.conditioning.at("visible_abs_v").value(i) == sum);
      CHECK(t.conditioning.at("row_sum").value(i) == count);
    }
  }
}

TEST_CASE("the masks of the reference and of Problem agree") {
  const Window window = GENERATE(Window{}, Window{0, -1}, Window{2, -1}, Window{7, -1});
  for (const Mask mask : {Mask::none, Mask::causal, Mask::causal_top_left})
    for (Index Sq = 1; Sq <= 9; ++Sq)
      for (Index Sk = 0; Sk <= 9; ++Sk) {
        Problem p;
        p.mask = mask, p.window = window, p.Sq = Sq, p.Sk = 9, p.B = 2, p.lens = {4, Sk};
        if (mask == Mask::none && window.left >= 0) p.window.right = window.left / 2;
        for (Index i = 0; i < Sq; ++i) {
          CAPTURE(name(mask), print(p.window), Sq, Sk, i);
          const KeyRange a = reference::visible_keys(mask, p.window, Sq, Sk, i),
                         b = p.visible(1, i);
          CHECK(a.size() == b.size());
          CHECK((a.size() == 0 || a.begin == b.begin));
        }
      }
}

TEST_CASE("a key that only the last query sees starts at the right row of the right block") {
  // 130 queries are three blocks of rows; v is 1 in the last key, 0 elsewhere.
  const Problem p = parse_problem("mha B=1 Sq=130 Sk=130 H=1 D=1 dtype=fp64 mask=causal");
  const auto zero = [](Index, Index, Index, Index) { return 0.0; };
  const Index key = GENERATE(0, 63, 64, 127, 128, 129);
  const auto v = [&](Index, Index j, Index, Index) { return j == key ? 1.0 : 0.0; };
  const Truth t = reference::attend(p, naive::inputs(p, zero, zero, v), Emit::outputs);
  for (Index i = 0; i < 130; ++i) {
    CAPTURE(key, i);
    CHECK(t.outputs.at("o").value(i) == (i < key ? 0.0 : 1.0 / double(i + 1)));
  }
}
