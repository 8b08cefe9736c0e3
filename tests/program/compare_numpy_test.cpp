// `attest compare` judges what tests/golden/numpy_attention.py and numpy_layer.py make of
// golden/core.h5, right and with mistakes.
#include "tests/program/candidates.h"

namespace {

const std::string kMatchScores = " --match '^(?!.*layer).*(window=|alibi|attn_|sink=)'";

// fp64 of all layers (tests/golden/numpy_layer.py), y rounded to fp32; and of the mqa layer in fp16
// every stage, each rounded.
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
    core = attention(p, *(t.astype(float) for t in (q_rot, k_cache, v_cache)), x)
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

// fp64 (tests/golden/numpy_attention.py) of the core cases with a window or with more scores than
// q k^T, rounded to fp32.
constexpr const char* kScores = R"(
import sys
import h5py
import numpy as np
sys.path[:0] = sys.argv[4:6]
import attest_golden as golden
from numpy_attention import Problem, attention, core_inputs, read

path, candidate, mistake = sys.argv[1:4]

def computed(p, inputs):
    if mistake == "slopes" and "alibi_slopes" in inputs:
        inputs["alibi_slopes"] = inputs["alibi_slopes"][::-1]
    if mistake == "polarity" and "attn_mask" in inputs:
        inputs["attn_mask"] = ~inputs["attn_mask"]
    if mistake in ("wider", "narrower") and "window" in p.keys:
        left, right = p.keys["window"].split(",")
        p.keys["window"] = f"{int(left) + (1 if mistake == 'wider' else -1)},{right}"
    if mistake == "bias" and "attn_bias" in inputs:
        inputs["attn_bias"] = np.roll(inputs["attn_bias"], 1, axis=1)
    result = attention(p, *core_inputs(p, inputs), inputs)
    o, lse = result["outputs/o"], result["outputs/lse"]
    if mistake == "sink" and p.sink != "none":
        p.sink = "none"
        lse = attention(p, *core_inputs(p, inputs), inputs)["outputs/lse"]
    return {"o": o.astype(np.float32), "lse": lse.astype(np.float32)}

outputs = {}
with h5py.File(path) as file:
    for case in file["cases"].values():
        p = Problem(case.attrs["problem"].decode())
        if not p.is_layer and {"window", "alibi", "attn_bias", "attn_mask", "sink"} & set(p.keys):
            outputs[p.text] = computed(p, read(case))
golden.write_candidate(candidate, outputs, producer="numpy " + np.__version__)
)";

}  // namespace

TEST_CASE("windows, biases, masks and sinks in numpy pass, each mistake fails where it matters") {
  if (!has_python()) return;
  const Candidates files(kScores);
  const auto judged = [&](const std::string& mistake) {
    return compare(files.write(mistake) + " " + kGolden + kMatchScores);
  };
  const Result right = judged("nothing");
  CHECK(right.exit_code == 0);
  CHECK_THAT(right.output, Catch::Contains("PASS 8   FAIL 0   SKIP 0   UNTRUSTED 0"));
  const auto [mistake, failures] = GENERATE(table<std::string, std::string>({
      {"slopes", "PASS 7   FAIL 1 "},
      {"polarity", "PASS 6   FAIL 2 "},
      {"wider", "PASS 6   FAIL 2 "},  // fill needle looks at one key
      {"narrower", "PASS 5   FAIL 3 "},
      {"bias", "PASS 7   FAIL 1 "},
      {"sink", "PASS 5   FAIL 3 "},
  }));
  CAPTURE(mistake);
  const Result wrong = judged(mistake);
  CHECK(wrong.exit_code == 1);
  CHECK_THAT(wrong.output, Catch::Contains(failures));
}

TEST_CASE("layers in numpy pass, by y alone or stage by stage") {
  if (!has_python()) return;
  const Candidates files(kLayers);
  const std::string candidate = files.write("nothing");
  const Result all = compare(candidate + " " + kGolden + " --match level=layer");
  CHECK(all.exit_code == 0);
  CHECK_THAT(all.output, Catch::Contains("9 cases: y in fp32, judged end to end alone") &&
                             Catch::Contains("1 case: stages in fp16, taken for flash-attention") &&
                             Catch::Contains("PASS 10   FAIL 0   SKIP 0   UNTRUSTED 0"));
  const Result one = compare(candidate + " " + kGolden + " --match '^mqa.*layer'");
  CHECK_THAT(one.output, Catch::Contains("\nrope_append   PASS ") &&
                             Catch::Contains("\nend to end: error^2 of y over y^2 "));
  const Result y = compare(candidate + " " + kGolden + " --match '^mha.*layer'");
  CHECK_THAT(y.output, !Catch::Contains("rope_append") && !Catch::Contains("\nstage ") &&
                           Catch::Contains("\nend to end: error^2 of y over y^2 "));
}

TEST_CASE("a wrong stage of a layer is named, a wrong y fails end to end") {
  if (!has_python()) return;
  const Candidates files(kLayers);
  const Result stage = compare(files.write("stage") + " " + kGolden + " --match level=layer");
  CHECK(stage.exit_code == 1);
  CHECK_THAT(stage.output, Catch::Contains("FAIL(hard_bound)  mqa B=1 Sq=4 Sk=9") &&
                               Catch::Contains("stage rope_append: q_rot[b=0,i=2,h=1,d=4] got ") &&
                               Catch::Contains("PASS 9   FAIL 1   SKIP 0"));
  const Result y = compare(files.write("y") + " " + kGolden + " --match level=layer");
  CHECK(y.exit_code == 1);
  CHECK_THAT(y.output, Catch::Contains("FAIL(nmse)  mha B=2 Sq=3 Sk=7") &&
                           Catch::Contains("stages are not judged: ") &&
                           Catch::Contains("PASS 9   FAIL 1   SKIP 0"));
}
