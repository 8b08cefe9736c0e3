// What unused slots of caches hold must not matter: which slots those are, and that kernels which
// read them fail.
#include "harness/poison.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include "harness/rounding.h"
#include "harness/run_case.h"
#include "tests/catch.h"
#include "tests/harness/judged_run.h"

using namespace judged;

namespace {

const std::string kLens = "gqa B=3 Sq=4 Sk=40 H=4 G=2 D=32 dtype=bf16 lens=33,7,40 seed=2";

/// What is decided of a simulated kernel, the judge's word first.
Judgement judgement_of(const std::string& text, Defect defect, Index splits = 1) {
  Run run(text, defect, splits);
  const TensorSet inputs = make_inputs(run.problem);
  simulated::Options options = simulated::options_for(run.problem);
  options.defect = defect;
  options.splits = splits;
  Judgement j = run.judged();
  ask_poison(
      run.problem, inputs, run.outputs,
      [&](const TensorSet& x) { return simulated::run(run.problem, x, options); }, j);
  return j;
}

/// Slots of a cache whose elements all have these bits, as numbers `line * slots + slot`.
std::set<Index> slots_with(const Tensor& cache, std::uint16_t bits) {
  const Index slots = cache.shape()[0] * cache.shape()[1], width = cache.size() / slots;
  const auto all = cache.as<std::uint16_t>();
  std::set<Index> found;
  for (Index n = 0; n < slots; ++n) {
    const auto slot =
        all.subspan(static_cast<std::size_t>(n * width), static_cast<std::size_t>(width));
    if (std::ranges::all_of(slot, [&](std::uint16_t x) { return x == bits; })) found.insert(n);
  }
  return found;
}

}  // namespace

TEST_CASE("poison replaces the NaN of slots that no key has, and nothing else") {
  const auto* text =
      GENERATE("gqa B=3 Sq=2 Sk=21 H=4 G=2 D=24 Dv=16 dtype=bf16 lens=20,0,21",
               "gqa B=3 Sq=2 Sk=21 H=4 G=2 D=24 Dv=16 dtype=bf16 lens=20,0,9 page=8 seed=4",
               "gqa B=2 Sq=2 Sk=16 H=4 G=2 D=24 dtype=bf16 page=8",
               "mla B=2 Sq=3 Sk=5 H=4 D=40 dtype=bf16 form=absorbed Dn=20 Dr=16 lens=5,2",
               "mla B=2 Sq=3 Sk=5 H=4 D=40 dtype=bf16 form=absorbed Dn=20 Dr=16 lens=1,2 page=3");
  CAPTURE(text);
  const Problem p = parse_problem(text);
  const TensorSet inputs = make_inputs(p);
  const TensorSet poisoned = with_unused_slots(p, inputs, 1.0);
  REQUIRE(poisoned.size() == inputs.size());
  Index replaced = 0, keys = 0;
  for (Index b = 0; b < p.B; ++b) keys += p.length(b);
  for (const Tensor& x : inputs) {
    const Tensor& other = poisoned.at(x.name());
    CAPTURE(x.name());
    REQUIRE(other.shape() == x.shape());
    if (x.dtype() == Dtype::int32 || x.name() == "q") {
      CHECK(std::ranges::equal(x.bytes(), other.bytes()));
      continue;
    }
    const std::set<Index> unused = slots_with(x, 0xffff);
    CHECK(std::ssize(unused) == x.shape()[0] * x.shape()[1] - keys);
    CHECK(unused == slots_with(other, 0x3f80));
    const auto before = x.as<std::uint16_t>(), after = other.as<std::uint16_t>();
    for (std::size_t n = 0; n < before.size(); ++n)
      replaced += after[n] != (before[n] == 0xffff ? 0x3f80 : before[n]);
  }
  CHECK(replaced == 0);
}

TEST_CASE("kernels that read their keys alone pass with any poison") {
  for (const char* mask : {"none", "causal", "causal_top_left"})
    for (const Index splits : {1, 3}) {
      const Judgement j = judgement_of(concat(kLens, " mask=", mask), Defect::none, splits);
      CAPTURE(mask, splits, j.message);
      CHECK(j.verdict == Verdict::pass);
      CHECK(j.check == Check::none);
    }
}

TEST_CASE("a kernel that reads one slot behind an entry's last key fails") {
  const Judgement j = judgement_of(kLens, Defect::unused_slot);
  CHECK(j.verdict == Verdict::fail);
  CHECK(j.check == Check::poison);
  CHECK(j.message.find("in slots that no key has, want 0x") != std::string::npos);
  // Entries 0 and 1 have slots behind their keys, 4 x 4 rows each; o and lse of a row move
  // together.
  CHECK(j.failing == 2 * 4 * 4);
  CHECK(j.total == 3 * 4 * 4 * 33);
}

TEST_CASE("a kernel that drops NaN and infinities of unused slots fails by a finite one") {
  CHECK(Run(kLens, Defect::finite_slot).judged().verdict == Verdict::pass);
  const Judgement j = judgement_of(kLens, Defect::finite_slot);
  CHECK(j.verdict == Verdict::fail);
  CHECK(j.check == Check::poison);
  CHECK(j.message.rfind("o[b=0,i=0,h=", 0) == 0);
  CHECK(j.message.find(" with 1e4 in slots that no key has") != std::string::npos);
  REQUIRE(j.worst.size() == 1);
  CHECK(j.worst.front().got != j.worst.front().want);
}

TEST_CASE("the message names the first element, the poison and both bits") {
  const Problem p = parse_problem("gqa B=2 Sq=1 Sk=5 H=2 G=1 D=16 dtype=bf16 page=8");
  const TensorSet inputs = make_inputs(p);
  // A kernel that stores what lies in the slot behind the last key of batch entry 1.
  const Rerun run = [&](const TensorSet& x) {
    TensorSet outputs = empty_outputs(p);
    for (Tensor* tensor : {&outputs.at("o"), &outputs.at("lse")})
      std::memset(tensor->bytes().data(), 0, tensor->bytes().size());
    const Index page = x.at("block_table").as<std::int32_t>()[1];
    outputs.at("o").as<std::uint16_t>()[35] =
        x.at("k_cache").as<std::uint16_t>()[static_cast<std::size_t>((page * 8 + 5) * 16)];
    return outputs;
  };
  Judgement j;
  ask_poison(p, inputs, run(inputs), run, j);
  CHECK(j.verdict == Verdict::fail);
  CHECK(j.message ==
        "o[b=1,i=0,h=0,d=3] got 0x7f80 (inf) with +inf in slots that no key has, want 0xffff (nan) "
        "as with NaN there  (1 of 68)");
}

TEST_CASE("8-bit caches are poisoned by what their type has beside NaN") {
  for (const auto& [kv, bytes] : {std::pair{"e4m3", std::set<unsigned>{0x7e}},
                                  {"e5m2", std::set<unsigned>{0x7c, 0x71}}}) {  // +inf, 10240
    const Problem p =
        parse_problem(concat("gqa B=2 Sq=1 Sk=5 H=2 G=1 D=16 dtype=bf16 lens=5,3 kv=", kv));
    const TensorSet inputs = make_inputs(p);
    const std::size_t unused = (5 + 3) * 16;  // the slot behind the last key of batch entry 1
    CHECK(inputs.at("v").bytes()[unused] == std::byte{0xff});
    std::set<unsigned> seen;
    Judgement j;
    const TensorSet outputs = empty_outputs(p);
    ask_poison(
        p, inputs, outputs,
        [&](const TensorSet& x) {
          CHECK(x.at("k").bytes()[unused] == x.at("v").bytes()[unused]);
          CHECK(x.at("k_scale").sha256() == inputs.at("k_scale").sha256());
          seen.insert(std::to_integer<unsigned>(x.at("v").bytes()[unused]));
          return outputs;
        },
        j);
    CAPTURE(kv);
    CHECK(seen == bytes);
  }
}

TEST_CASE("caches without unused slots are not run again") {
  const Problem p = parse_problem("gqa B=2 Sq=1 Sk=5 H=2 G=1 D=16 dtype=bf16 mask=causal_top_left");
  CHECK_FALSE(has_unused_slots(p));
  Judgement j;
  const Rerun never = [](const TensorSet&) -> TensorSet { throw Error("run again"); };
  CHECK_NOTHROW(ask_poison(p, make_inputs(p), empty_outputs(p), never, j));
  CHECK(j.verdict == Verdict::pass);
  CHECK_THROWS_AS(ask_poison(parse_problem(kLens), make_inputs(parse_problem(kLens)),
                             empty_outputs(parse_problem(kLens)), never, j),
                  Error);
}
