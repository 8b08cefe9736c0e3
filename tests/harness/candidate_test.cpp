#include "harness/candidate.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <numbers>

#include "cases/error.h"
#include "harness/rounding.h"
#include "harness/run_case.h"
#include "tests/catch.h"
#include "tests/harness/simulated_kernel.h"
#include "tests/harness/truth_by_hand.h"

using namespace attest;

namespace {

const std::string kCase = "gqa B=1 Sq=9 Sk=70 H=6 G=2 D=64 dtype=bf16 mask=causal seed=3";
const std::string kEmptyRows = "mha B=1 Sq=9 Sk=4 H=2 D=64 dtype=bf16 mask=causal seed=3";

/// A problem as a golden stores it, and beside it what a simulated kernel computes.
struct Pair {
  StoredCase golden, candidate;

  explicit Pair(const std::string& text, Dtype p_type = Dtype::bf16, Dtype o_type = Dtype::bf16) {
    const Question question = pose(parse_problem(text));
    golden.problem = candidate.problem = question.problem;
    golden.groups = {{"inputs", question.inputs},
                     {"outputs", question.truth.outputs},
                     {"conditioning", question.truth.conditioning}};
    candidate.groups["outputs"] =
        simulated::run(question.problem, question.inputs, {.p_type = p_type, .o_type = o_type});
  }

  TensorSet& outputs() { return candidate.groups.at("outputs"); }

  void replace(Tensor tensor) {
    TensorSet changed;
    for (const Tensor& old : outputs())
      if (old.name() != tensor.name()) changed.add(old);
    changed.add(std::move(tensor));
    outputs() = changed;
  }

  Candidate judged(const CandidateOptions& options = {}, const std::string& failures = "") const {
    return judge_candidate(candidate, golden, options, failures);
  }
};

/// The tensor with every value changed, in another type.
template <class Function>
Tensor mapped(const Tensor& tensor, Dtype dtype, const Function& change) {
  Tensor result(tensor.name(), dtype, tensor.layout(), tensor.shape());
  for (Index n = 0; n < tensor.size(); ++n) by_hand::poke(result, n, change(tensor.value(n)));
  return result;
}

double same(double value) { return value; }
double to_log2(double lse) { return lse / std::numbers::ln2; }
double to_plus_inf(double lse) { return std::isinf(lse) ? std::abs(lse) : lse; }

}  // namespace

TEST_CASE("a kernel that rounds p passes as flash-attention, and its record says all") {
  const Pair pair(kCase);
  const Candidate judged = pair.judged();
  CHECK(judged.record.judgement.verdict == Verdict::pass);
  CHECK(judged.record.judgement.message.empty());
  CHECK(judged.taken_for == "o in bf16, taken for flash-attention (default for bf16)");
  CHECK(print(judged.record.which) == print(pair.golden.problem));
  CHECK(judged.record.o_sha256 == pair.candidate.groups.at("outputs").at("o").sha256());
  const Record run = run_case(parse_case(kCase + " | kernel=prefill"), "");
  CHECK(judged.record.inputs_sha256 == run.inputs_sha256);
}

TEST_CASE("what a kernel is taken for decides: rounding of p fails as naive-fp32") {
  const Pair pair(kCase, Dtype::bf16, Dtype::fp32);
  CHECK(pair.judged().record.judgement.verdict == Verdict::fail);
  CHECK(pair.judged().passes_with == "--like flash-attention");
  CHECK(pair.judged({.like = "naive-fp32"}).passes_with.empty());
  CHECK(pair.judged({.like = "flash-attention"}).record.judgement.verdict == Verdict::pass);
  CHECK(pair.judged({.like = "flash-attention", .p_type = Dtype::fp32}).record.judgement.verdict ==
        Verdict::fail);
  CHECK(pair.judged({.p_type = Dtype::bf16}).taken_for ==
        "o in fp32, taken for naive-fp32 (default for fp32) with p in bf16");
  const Pair unrounded(kCase, Dtype::fp32, Dtype::fp32);
  CHECK(unrounded.judged({.like = "flash-attention", .p_type = Dtype::fp32})
            .record.judgement.verdict == Verdict::pass);
}

TEST_CASE("depths follow from the problem: 17 for each 16-wide MMA, over the keys of a split") {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=130 H=1 D=72 dtype=fp16");
  const Likeness& flash = find_likeness("flash-attention");
  const Descriptor whole = descriptor_of(flash, p, Dtype::fp16, {});
  CHECK(whole.depth_qk == 17 * 5);
  CHECK(whole.chain_pv == 9);  // 130 keys
  CHECK(whole.depth_l == 130);
  CHECK(whole.block_k == 32);
  CHECK(whole.splits == 1);
  CHECK(whole.p_type == Dtype::fp16);
  const Descriptor split =
      descriptor_of(flash, p, Dtype::fp32, {.block_k = 64, .splits = 2});  // 2 of 3 blocks
  CHECK(split.depth_pv == 17 * 8);
  CHECK(split.depth_l == 128);
  CHECK(split.splits == 2);
  CHECK(split.o_type == Dtype::fp32);
  const Descriptor naive = descriptor_of(find_likeness("naive-fp32"), p, Dtype::fp32, {});
  CHECK(naive.depth_qk == 74);
  CHECK(naive.depth_pv == 132);
  CHECK(naive.block_k == 130);
  const Problem none = parse_problem("mha B=1 Sq=1 Sk=0 H=1 D=72 dtype=fp16");
  CHECK(descriptor_of(find_likeness("exact-fp64"), none, Dtype::fp64, {}).block_k == 1);
}

TEST_CASE("without lse only o is checked, and the record says so") {
  Pair pair(kCase);
  TensorSet o_alone;
  o_alone.add(pair.outputs().at("o"));
  pair.outputs() = o_alone;
  const Candidate judged = pair.judged();
  CHECK(judged.record.judgement.verdict == Verdict::pass);
  CHECK(judged.record.judgement.message == "no lse: its checks are left out");
  CHECK(judged.record.lse_sha256.empty());
  CHECK_THAT(judged.taken_for, Catch::Contains("without lse"));
  by_hand::poke(pair.outputs().at("o"), 5, 3);
  const Record broken = pair.judged().record;
  CHECK(broken.judgement.check == Check::hard_bound);
  CHECK_THAT(broken.judgement.message, Catch::Contains("o[b=0,i=0,h=0,d=5] got 3"));
}

TEST_CASE("an lse in another convention fails, and the options with which it passes are named") {
  const auto [text, options,
              change] = GENERATE(table<std::string, std::string, double (*)(double)>({
      {kCase, "--lse log2", to_log2},
      {kEmptyRows, "--lse +inf-empty", to_plus_inf},
      {kEmptyRows, "--lse log2,+inf-empty", [](double lse) { return to_plus_inf(to_log2(lse)); }},
  }));
  CAPTURE(options);
  Pair pair(text);
  pair.replace(mapped(pair.outputs().at("lse"), Dtype::fp32, change));
  const Candidate judged = pair.judged();
  CHECK(judged.record.judgement.verdict == Verdict::fail);
  CHECK(judged.passes_with == options);
  CandidateOptions told;
  told.reading.lse_log2 = options.find("log2") != std::string::npos;
  told.reading.lse_plus_inf = options.find("+inf") != std::string::npos;
  CHECK(pair.judged(told).record.judgement.verdict == Verdict::pass);
}

TEST_CASE("no reading excuses +inf where a row sees keys") {
  Pair pair(kCase);
  by_hand::poke(pair.outputs().at("lse"), 0, std::numeric_limits<double>::infinity());
  CHECK(pair.judged().passes_with.empty());
  CHECK(pair.judged({.reading = {.lse_plus_inf = true}}).record.judgement.verdict == Verdict::fail);
}

TEST_CASE("an o that was rounded and then stored wider passes as what it was") {
  Pair pair(kCase);
  pair.replace(mapped(pair.outputs().at("o"), Dtype::fp32, same));
  CHECK(pair.judged().record.judgement.verdict == Verdict::fail);
  CHECK(pair.judged().passes_with == "--o-rounded");
  const CandidateOptions rounded{.reading = {.o_rounded = true}};
  const Candidate judged = pair.judged(rounded);
  CHECK(judged.record.judgement.verdict == Verdict::pass);
  CHECK(judged.taken_for ==
        "o in bf16 (--o-rounded), taken for flash-attention (default for bf16)");
  by_hand::poke(pair.outputs().at("o"), 7, 1.001);
  CHECK_THROWS_WITH(pair.judged(rounded), Catch::Contains("every element of o must be a bf16"));
}

TEST_CASE("what cannot be judged is refused with the rule") {
  Pair pair(kCase);
  const auto refused = [&](const std::string& rule, const CandidateOptions& options = {}) {
    CHECK_THROWS_AS(pair.judged(options), InfraError);
    CHECK_THROWS_WITH(pair.judged(options), Catch::Contains(rule));
  };
  SECTION("a golden of the digest tier") {
    pair.golden.tier = "digest";
    pair.golden.groups.clear();
    refused("must be of the tier full, got digest for gqa");
  }
  SECTION("a candidate in the golden's place") {
    pair.golden = pair.candidate;
    refused("the order is attest compare CANDIDATE GOLDEN");
  }
  SECTION("no o") {
    pair.outputs() = {};
    refused("the candidate must store outputs/o");
  }
  SECTION("o in the other 16-bit type") {
    pair.replace(mapped(pair.outputs().at("o"), Dtype::fp16, same));
    refused("o of the candidate must be one of bf16, fp32, fp64, got fp16");
  }
  SECTION("lse in 16 bits") {
    pair.replace(mapped(pair.outputs().at("lse"), Dtype::bf16, same));
    refused("lse of the candidate must be one of fp32, fp64, got bf16");
  }
  SECTION("outputs of other inputs") {
    pair.candidate.groups["inputs"].add(
        mapped(pair.golden.groups.at("inputs").at("v"), Dtype::bf16, std::negate<>()));
    refused("got other bits in v");
  }
  SECTION("a narrow lse of a computation in fp64") {
    refused("lse must be fp64 with --like exact-fp64, got fp32", {.like = "exact-fp64"});
  }
}

TEST_CASE("an unknown name is answered with those that exist") {
  CHECK_THROWS_WITH(find_likeness("magic"),
                    Catch::Contains("flash-attention naive-fp32 exact-fp64, got magic"));
}

TEST_CASE("a failing candidate is dumped, with what was judged beside the truth") {
  std::string name = (std::filesystem::temp_directory_path() / "attest-test-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()));
  Pair pair(kCase);
  by_hand::poke(pair.outputs().at("o"), 5, 3);
  const Record record = pair.judged({}, name).record;
  const std::string file = name + "/" + case_id(pair.golden.problem) + "-candidate-";
  CHECK_THAT(record.judgement.message, Catch::Contains(file));
  CHECK(record.dump.empty());  // nothing that `attest run --replay` could run
  const auto dump = std::filesystem::directory_iterator(name)->path();
  const GoldenFile stored(dump);
  const StoredCase read = stored.read(stored.case_ids().front());
  CHECK(read.groups.at("got").at("o").value(5) == 3);
  CHECK(read.groups.contains("bound"));
  std::filesystem::remove_all(name);
}
