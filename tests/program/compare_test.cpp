// `attest compare` as a user meets it: numpy computes attention over golden/core.h5 and writes a
// candidate, which the program judges.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/program/shell.h"

namespace fs = std::filesystem;

namespace {

const std::string kPython = "/usr/bin/python3";
const std::string kGolden = ATTEST_SOURCE_DIR "/golden/core.h5";
const std::string kMatch = " --match '^(gqa|mha) (?!.*(page=|lens=|layer))'";

// Arguments: golden, candidate, what to get wrong. fp32 attention of the mha and gqa cases, o
// rounded to the case's type.
constexpr const char* kAttention = R"(
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
    other = p["level"] == "layer" or p["page"] or p["lens"]
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

// Arguments: as above. fp64 of all layers (tests/golden/numpy_layer.py), y rounded to fp32; and of
// the mqa layer in fp16 every stage, each rounded.
constexpr const char* kLayers = R"(
import sys
import h5py
import numpy as np
sys.path[:0] = sys.argv[4:6]
import attest_golden as golden
from numpy_attention import Problem, attention, read
from numpy_layer import head_norm, layer, turned

path, candidate, mistake = sys.argv[1:4]
half = np.float16

def stages(p, case):
    bits = {name: dataset[()] for name, dataset in case["inputs"].items()}
    x = read(case)
    qkv = (x["x"] @ x["w_qkv"].T).astype(half)
    heads = qkv.astype(float).reshape(p.B, p.Sq, p.H + 2, p.D)
    q_rot = turned(p, head_norm(p, heads[:, :, :p.H], x, "q")).astype(half)
    if mistake == "stage":
        q_rot[0, 2, 1, 4] *= half(1.1)
    new_k = turned(p, head_norm(p, heads[:, :, -2:-1], x, "k"))
    k_cache, v_cache = bits["k_cache"].copy(), bits["v_cache"].copy()
    k_cache[:, p.Sk - p.Sq:], v_cache[:, p.Sk - p.Sq:] = new_k, heads[:, :, -1:]
    core = attention(p, *(t.astype(float) for t in (q_rot, k_cache, v_cache)))
    o = core["outputs/o"].astype(half)
    y = o.astype(float).reshape(p.B, p.Sq, -1) @ x["w_o"].T
    return {"qkv": qkv, "q_rot": q_rot, "k_cache": k_cache, "v_cache": v_cache, "o": o,
            "lse": core["outputs/lse"].astype(np.float32), "y": y.astype(half)}

outputs = {}
with h5py.File(path) as file:
    for case in file["cases"].values():
        p = Problem(case.attrs["problem"].decode())
        if not p.is_layer:
            continue
        y = layer(p, case)["outputs/y"]
        if mistake == "y":
            y = y * (1.05 if p.variant == "mha" else 1)
        outputs[p.text] = stages(p, case) if p.variant == "mqa" else {"y": y.astype(np.float32)}
golden.write_candidate(candidate, outputs, producer="numpy " + np.__version__)
)";

struct Candidates {
  fs::path folder;

  Candidates() {
    std::string name = (fs::temp_directory_path() / "attest-test-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()));
    folder = name;
    std::ofstream(folder / "attention.py") << kAttention;
    std::ofstream(folder / "layers.py") << kLayers;
  }
  ~Candidates() { fs::remove_all(folder); }

  std::string operator/(const std::string& name) const { return (folder / name).string(); }

  std::string write(const std::string& mistake, const std::string& script = "attention.py") const {
    const Result result =
        shell("PYTHONDONTWRITEBYTECODE=1 " + kPython + " " + *this / script + " " + kGolden + " " +
              *this / "mine.h5" + " " + mistake + " " ATTEST_SOURCE_DIR "/golden/python" +
              " " ATTEST_SOURCE_DIR "/tests/golden");
    INFO(result.output);
    REQUIRE(result.exit_code == 0);
    return *this / "mine.h5";
  }
};

bool has_python() {
  if (shell(kPython + " -c 'import h5py, numpy'").exit_code == 0) return true;
  WARN("skipped: " << kPython << " has no h5py and numpy");
  return false;
}

Result compare(const std::string& arguments) {
  return shell(ATTEST_PROGRAM " compare " + arguments);
}

}  // namespace

TEST_CASE("attention in numpy passes, and the output says what it was taken for") {
  if (!has_python()) return;
  const Candidates files;
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
  const Candidates files;
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
  const Candidates files;
  const Result result = compare(files.write("element") + " " + kGolden + kMatch);
  CHECK(result.exit_code == 1);
  CHECK_THAT(result.output, Catch::Contains("FAIL(hard_bound)  mha B=2 Sq=5 Sk=67 H=3 G=3 D=16") &&
                                Catch::Contains("(1 of 720); only batch entry b=") &&
                                Catch::Contains("   FAIL 1   SKIP 0"));
}

TEST_CASE("a case that the candidate lacks did not run, unless --match leaves it out") {
  if (!has_python()) return;
  const Candidates files;
  const std::string candidate = files.write("missing");
  const Result lacks = compare(candidate + " " + kGolden + kMatch);
  CHECK(lacks.exit_code == 3);
  CHECK_THAT(lacks.output, Catch::Contains("   FAIL 0   SKIP 0   UNTRUSTED 0   NOT_RUN 1") &&
                               Catch::Contains("leave it out with --match (gqa B=1 Sq=2 Sk=33"));
  CHECK(compare(candidate + " " + kGolden + " --match '^mha (?!.*layer)'").exit_code == 0);
  CHECK(compare(candidate + " " + kGolden + " --match 'no such case'").exit_code == 5);
}

TEST_CASE("a candidate that does not fit the golden is an infrastructure error") {
  if (!has_python()) return;
  const Candidates files;
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

TEST_CASE("layers in numpy pass, by y alone or stage by stage") {
  if (!has_python()) return;
  const Candidates files;
  const std::string candidate = files.write("nothing", "layers.py");
  const Result all = compare(candidate + " " + kGolden + " --match level=layer");
  CHECK(all.exit_code == 0);
  CHECK_THAT(all.output, Catch::Contains("7 cases: y in fp32, judged end to end alone") &&
                             Catch::Contains("1 case: stages in fp16, taken for flash-attention") &&
                             Catch::Contains("PASS 8   FAIL 0   SKIP 0   UNTRUSTED 0"));
  const Result one = compare(candidate + " " + kGolden + " --match '^mqa.*layer'");
  CHECK_THAT(one.output, Catch::Contains("\nrope_append   PASS ") &&
                             Catch::Contains("\nend to end: error^2 of y over y^2 "));
  const Result y = compare(candidate + " " + kGolden + " --match '^mha.*layer'");
  CHECK_THAT(y.output, !Catch::Contains("rope_append") && !Catch::Contains("\nstage ") &&
                           Catch::Contains("\nend to end: error^2 of y over y^2 "));
}

TEST_CASE("a wrong stage of a layer is named, a wrong y fails end to end") {
  if (!has_python()) return;
  const Candidates files;
  const Result stage =
      compare(files.write("stage", "layers.py") + " " + kGolden + " --match level=layer");
  CHECK(stage.exit_code == 1);
  CHECK_THAT(stage.output, Catch::Contains("FAIL(hard_bound)  mqa B=1 Sq=4 Sk=9") &&
                               Catch::Contains("stage rope_append: q_rot[b=0,i=2,h=1,d=4] got ") &&
                               Catch::Contains("PASS 7   FAIL 1   SKIP 0"));
  const Result y = compare(files.write("y", "layers.py") + " " + kGolden + " --match level=layer");
  CHECK(y.exit_code == 1);
  CHECK_THAT(y.output, Catch::Contains("FAIL(nmse)  mha B=2 Sq=3 Sk=7") &&
                           Catch::Contains("stages are not judged: ") &&
                           Catch::Contains("PASS 7   FAIL 1   SKIP 0"));
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
