#include "harness/cost.h"

#include "cases/stages.h"
#include "cuda/kernel.h"
#include "cuda/simt/emulator.h"
#include "harness/inputs.h"
#include "harness/layer_inputs.h"
#include "harness/poison.h"
#include "harness/run_case.h"
#include "tests/catch.h"

using namespace attest;

namespace {

double of(const WorkCounts& work, Work kind) { return work[static_cast<std::size_t>(kind)]; }

/// What the emulator counts in a run of a case, reruns included.
emulator::Statistics counted(const Case& c) {
  emulator::reset_statistics();
  run_case(c, "");
  return emulator::statistics();
}

}  // namespace

TEST_CASE("the products and blocks of a case are known before it runs") {
  for (const char* line :
       {"gqa B=2 Sq=70 Sk=130 H=6 G=2 D=64 dtype=bf16 mask=causal | kernel=prefill",
        "mha B=1 Sq=66 Sk=20 H=2 D=192 Dv=128 dtype=fp16 mask=causal_top_left | kernel=prefill",
        "mqa B=2 Sq=5 Sk=300 H=7 D=128 dtype=bf16 | kernel=decode splits=3",
        "gqa B=2 Sq=3 Sk=150 H=4 G=2 D=64 dtype=bf16 lens=65,7 page=8 mask=causal | kernel=decode",
        "gqa B=2 Sq=70 Sk=400 H=4 G=2 D=64 dtype=bf16 mask=causal window=40,-1 | kernel=prefill",
        "mla B=2 Sq=3 Sk=65 H=17 D=576 dtype=bf16 form=absorbed Dn=128 Dr=64 | kernel=mla_decode",
        "mla B=2 Sq=3 Sk=65 H=5 D=72 dtype=fp16 form=absorbed Dn=20 Dr=8 | kernel=mla_decode",
        "mqa B=2 Sq=7 Sk=150 H=5 D=52 Dv=37 dtype=fp32 page=5 mask=causal | kernel=ffma"}) {
    const Case c = parse_case(line);
    const WorkCounts work = work_of(c);
    const emulator::Statistics seen = counted(c);
    CAPTURE(line);
    CHECK(of(work, Work::mma) == static_cast<double>(seen.mma));
    CHECK(of(work, Work::block) == static_cast<double>(seen.blocks));
    CHECK(of(work, Work::run) == (has_unused_slots(c.problem) ? 3 : 1));
  }
}

TEST_CASE("the products of a layer are known before it runs, those of shards and reruns too") {
  for (const char* line :
       {"gqa B=2 Sq=5 Sk=70 H=8 G=4 D=24 dtype=bf16 level=layer E=72 tp=2 gate=1 mask=causal",
        "mha B=2 Sq=20 Sk=20 H=4 D=40 dtype=bf16 level=layer E=200",
        "mla B=3 Sq=5 Sk=70 H=4 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 Lq=32 Dr=8 "
        "lens=70,5,64",
        "mla B=3 Sq=5 Sk=70 H=8 D=24 Dv=40 dtype=bf16 level=layer E=72 L=48 tp=4 form=absorbed "
        "Dr=8 page=8"}) {
    const Case c = parse_case(std::string(line) + " | kernel=layer");
    const double seen = static_cast<double>(counted(c).mma);
    CAPTURE(line, seen);
    CHECK(of(work_of(c), Work::mma) >= seen);
    CHECK(of(work_of(c), Work::mma) <= 1.05 * seen);
  }
}

TEST_CASE("an estimate is proportional to the probe and grows with the case") {
  const auto seconds = [](const char* line, double probe) {
    return estimate(work_of(parse_case(line)), probe);
  };
  const char* small = "mha B=1 Sq=66 Sk=65 H=2 D=64 dtype=bf16 | kernel=prefill";
  const char* large = "mha B=2 Sq=130 Sk=300 H=4 D=64 dtype=bf16 | kernel=prefill";
  CHECK(seconds(small, 2e-7).total() == Approx(2 * seconds(small, 1e-7).total()));
  CHECK(seconds(large, 1e-7).kernel > 8 * seconds(small, 1e-7).kernel);
  CHECK(seconds(large, 1e-7).inputs > seconds(small, 1e-7).inputs);
  CHECK(seconds(large, 1e-7).reference > seconds(small, 1e-7).reference);
  CHECK(seconds(large, 1e-7).judge > seconds(small, 1e-7).judge);
}

TEST_CASE("the table of costs adds up, and shards hold all of it") {
  std::vector<Case> cases;
  for (int n = 1; n <= 30; ++n)
    cases.push_back(parse_case("mha B=1 Sq=" + std::to_string(n) +
                               " Sk=65 H=2 D=64 dtype=bf16 | kernel=prefill"));
  cases.push_back(parse_case("mqa B=1 Sq=2 Sk=65 H=2 D=64 dtype=bf16 | kernel=decode"));
  cases.push_back(parse_case("mqa B=1 Sq=2 Sk=65 H=2 D=64 dtype=bf16 | kernel=decode backend=gpu"));
  const std::string table = cost_table(cases, 1e-6, 4);
  CHECK_THAT(table, Catch::Contains("\nmha      prefill         30 "));
  CHECK_THAT(table, Catch::Contains("\nmqa      decode           1 "));
  CHECK_THAT(table, Catch::Contains("\ntotal                    31 "));
  CHECK_THAT(table, Catch::Contains("\n1 cases on a GPU are not counted\n"));
  CHECK_THAT(table, Catch::Contains(" s on 4 free cores, of which each takes 1000 ns"));
  const std::string shards = shard_costs(cases, "2/3", 1e-6);
  std::size_t sum = 0;
  for (std::size_t at = 0; (at = shards.find(": ", at)) != std::string::npos; ++at)
    sum += std::stoul(shards.substr(at + 2));
  CHECK(sum == cases.size());
  CHECK_THAT(shards, Catch::StartsWith("shard 1/3: ") && Catch::Contains("\nshard 3/3: "));
}
