// `attest compare` as a user meets it: numpy computes attention over golden/core.h5 and writes a
// candidate, which the program judges.
#include "tests/program/candidates.h"

namespace {

const std::string kMatch =
    " --match '^(gqa|mha) (?!.*(page=|lens=|lay|window=|alibi|attn_|sink=))'";

// fp32 attention of the mha and gqa cases that have q, k, v and a mask at most, o rounded to the
// case's type.
constexpr const char* kAttention = R"(
import re
import sys
import numpy as np
sys.path.insert(0, sys.argv[4])
import attest_golden as golden
import attest_golden.writing as writing

path, candidate, mistake = sys.argv[1:4]

def round_to(dtype, x):
    if dtype == "fp16":
        return x.astype(np.float16)
    bits = np.ascontiguousarray(x).view(np.uint32)
    return "bfloat16", ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)

def attention(case, p):
    q, k, v = (golden.load(path, case, name) for name in "qkv")
    h = np.arange(p["H"])
    g = h % p["G"] if mistake == "heads" else h // (p["H"] // p["G"])
    scale = np.float32(p["scale"] or p["D"] ** -0.5)
    s = np.einsum("bihd,bjhd->bhij", q, k[:, :, g]) * scale
    if p["softcap"]:
        s = p["softcap"] * np.tanh(s / np.float32(p["softcap"]))
    i, j = np.ogrid[:p["Sq"], :p["Sk"]]
    last = {"none": p["Sk"], "causal": i + p["Sk"] - p["Sq"], "causal_top_left": i}[p["mask"]]
    s = np.where(j <= last, s, np.float32(-np.inf))
    m = s.max(-1, initial=-np.inf, keepdims=True)
    e = np.exp(s - np.where(np.isfinite(m), m, 0))
    l = e.sum(-1)
    divisor = np.where(l > 0, l, 1).swapaxes(1, 2)[..., None]
    o = np.einsum("bhij,bjhd->bihd", e, v[:, :, g]) / divisor
    with np.errstate(divide="ignore"):
        return o, m[..., 0] + np.log(l)

outputs = {}
for case, problem, p in golden.cases(path):
    other = re.search("page=|lens=|lay|window=|alibi|attn_|sink=", problem)
    if p["variant"] not in ("mha", "gqa") or other:
        continue
    o, lse = attention(case, p)
    if mistake == "element" and "fill" not in problem and p["Sk"] > 0:
        o[np.unravel_index(np.abs(o).argmax(), o.shape)] *= 1.02
    outputs[problem] = {"o": round_to(p["dtype"], o), "lse": lse}
if mistake == "missing":
    del outputs["gqa B=1 Sq=2 Sk=33 H=14 G=2 D=40 Dv=24 dtype=fp16 fill=cancel"]
if mistake == "stranger":
    outputs["mha B=1 Sq=1 Sk=1 H=1 G=1 D=8 dtype=bf16"] = {"o": np.zeros((1, 1, 1, 8), np.float32)}
if mistake == "shape":  # [B,H,Sq,Dv] past the check of write_candidate
    problem, o = "mha B=1 Sq=7 Sk=9 H=2 G=2 D=64 dtype=fp16 mask=causal fill=peaked", "o"
    outputs = {problem: {"o": np.zeros((1, 2, 7, 64), np.float16)}}
    parse = writing.parse_problem
    writing.parse_problem = lambda text: {**parse(text), "Sq": 2, "H": 7}
golden.write_candidate(candidate, outputs, producer="numpy " + np.__version__)
)";

}  // namespace

TEST_CASE("attention in numpy passes, and the output says what it was taken for") {
  if (!has_python()) return;
  const Candidates files(kAttention);
  const Result result = compare(files.write("nothing") + " " + kGolden + kMatch);
  CHECK(result.exit_code == 0);
  CHECK_THAT(
      result.output,
      Catch::Contains("   FAIL 0   SKIP 0   UNTRUSTED 0     worst: ") &&
          Catch::Contains(" cases: o in bf16, taken for flash-attention (default for bf16)") &&
          Catch::Contains("\nflash-attention: tensor cores"));
}

TEST_CASE("a wrong map of heads fails, and the message points at the heads") {
  if (!has_python()) return;
  const Candidates files(kAttention);
  const std::string report = files / "report";
  const Result result =
      compare(files.write("heads") + " " + kGolden + kMatch + " --report " + report);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.output, Catch::Contains("(287 of 672); only heads h=1..12") &&
                                Catch::Contains("report: " + report));
  for (const char* file : {"results.jsonl", "junit.xml", "summary.txt"})
    CHECK(fs::exists(fs::path(report) / file));
  CHECK(!fs::is_empty(report + "/failures"));
}

TEST_CASE("one element that is off by a fiftieth fails by name") {
  if (!has_python()) return;
  const Candidates files(kAttention);
  const Result result = compare(files.write("element") + " " + kGolden + kMatch);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.output, Catch::Contains("FAIL(hard_bound)  mha B=2 Sq=5 Sk=67 H=3 G=3 D=16") &&
                                Catch::Contains("(1 of 720); only batch entry b=") &&
                                Catch::Contains("   FAIL 1   SKIP 0"));
}

TEST_CASE("a case that the candidate lacks did not run, unless --match leaves it out") {
  if (!has_python()) return;
  const Candidates files(kAttention);
  const std::string candidate = files.write("missing");
  const Result lacks = compare(candidate + " " + kGolden + kMatch);
  CHECK(lacks.exit_code == 3);
  CHECK_THAT(lacks.output, Catch::Contains("   FAIL 0   SKIP 0   UNTRUSTED 0   NOT_RUN 1") &&
                               Catch::Contains("leave it out with --match (gqa B=1 Sq=2 Sk=33"));
  CHECK(compare(candidate + " " + kGolden + " --match '^mha (?!.*(lay|window=))'").exit_code == 0);
  CHECK(compare(candidate + " " + kGolden + " --match 'no such case'").exit_code == 5);
}

TEST_CASE("a candidate that does not fit the golden is an infrastructure error") {
  if (!has_python()) return;
  const Candidates files(kAttention);
  const Result stranger = compare(files.write("stranger") + " " + kGolden);
  CHECK(stranger.exit_code == 3);
  CHECK_THAT(stranger.output, Catch::Contains("got 1 that it lacks") &&
                                  Catch::Contains("\n  mha B=1 Sq=1 Sk=1 H=1 G=1 D=8 dtype=bf16"));
  const Result shape = compare(files.write("shape") + " " + kGolden);
  CHECK(shape.exit_code == 3);
  CHECK_THAT(shape.output,
             Catch::Contains("outputs/o as BSHD 1x7x2x64, got BSHD 1x2x7x64 for mha"));

  const std::string whole = files.write("nothing");
  fs::resize_file(whole, fs::file_size(whole) / 2);
  const Result truncated = compare(whole + " " + kGolden);
  CHECK(truncated.exit_code == 3);
  CHECK_THAT(truncated.output, Catch::Contains("mine.h5 must be a sound HDF5 file"));
  CHECK(compare(files / "absent.h5 " + kGolden).exit_code == 3);
}

TEST_CASE("a golden judged by itself passes as a computation in fp64") {
  const Result result = compare(kGolden + " " + kGolden);
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Contains(" cases: o in fp64, taken for exact-fp64"));
}

TEST_CASE("a wrong option of compare is named, with exit code 2") {
  const auto [arguments, message] = GENERATE(table<std::string, std::string>({
      {"", "CANDIDATE and GOLDEN must be given, got neither"},
      {kGolden, "CANDIDATE and GOLDEN must be given, got one file"},
      {kGolden + " " + kGolden + " --like magic", "got magic; attest compare --list-like"},
      {kGolden + " " + kGolden + " --p-type int32", "must be a floating-point type"},
      {kGolden + " " + kGolden + " --splits -1", "must not be negative, got 0 and -1"},
      {kGolden + " " + kGolden + " --lse log10", "--lse must be log2, +inf-empty"},
      {kGolden + " " + kGolden + " --match '('", "must be a regular expression"},
  }));
  CAPTURE(arguments);
  const Result result = compare(arguments);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Catch::Contains(message));
}

TEST_CASE("compare says what each likeness assumes") {
  const Result result = compare("--list-like");
  CHECK(result.exit_code == 0);
  for (const char* name : {"flash-attention ", "naive-fp32 ", "exact-fp64 ", "default: "})
    CHECK_THAT(result.output, Catch::Contains(name));
}
