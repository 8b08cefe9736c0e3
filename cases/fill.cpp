#include "cases/fill.h"

#include "cases/error.h"

namespace attest {
namespace {

constexpr FillInfo kFills[] = {
    {Fill::normal, "normal", FillTag::iid, true, true, true, true, "general baseline"},
    {Fill::um11, "um11", FillTag::iid, true, true, true, true, "uniform in [-1, 1)"},
    {Fill::u01, "u01", FillTag::coherent, false, false, true, true,
     "V with a mean: errors of the row sum"},
    {Fill::peaked, "peaked", FillTag::iid, true, true, true, false,
     "near one-hot softmax: running max, exp slope"},
    {Fill::flat, "flat", FillTag::iid, true, true, true, false,
     "averaging: accumulation of l, tail keys"},
    {Fill::equal, "equal", FillTag::coherent, true, true, true, false,
     "p = 1 everywhere: counts the visible keys"},
    {Fill::bigpos, "bigpos", FillTag::iid, true, false, true, false,
     "scores near +150: missing max subtraction"},
    {Fill::bigneg, "bigneg", FillTag::iid, true, false, true, false,
     "scores near -150: running max started at 0"},
    {Fill::offset, "offset", FillTag::iid, true, false, true, false,
     "K with a large mean: shift invariance"},
    {Fill::ascend, "ascend", FillTag::iid, true, false, true, false,
     "every key block raises the running max"},
    {Fill::descend, "descend", FillTag::iid, true, false, true, false,
     "no later key block raises the running max"},
    {Fill::outlier, "outlier", FillTag::iid, true, true, true, true,
     "hot channels: per-tensor against per-channel"},
    {Fill::heavy, "heavy", FillTag::iid, true, true, true, true, "mixed magnitudes"},
    {Fill::cancel, "cancel", FillTag::iid, true, true, false, false,
     "neighbouring V cancel: o far below sum p |v|"},
    {Fill::twolevel, "twolevel", FillTag::coherent, false, false, false, false,
     "two score levels: roundings line up"},
    {Fill::onehot, "onehot", FillTag::iid, false, true, false, false,
     "V shows P itself: key order, P rounding"},
    {Fill::needle, "needle", FillTag::exact, false, false, true, false,
     "one key takes all: names a wrong key or head"},
    {Fill::tailhot, "tailhot", FillTag::coherent, false, true, false, false,
     "only the last keys carry V: tails, masks"},
    {Fill::denormal, "denormal", FillTag::coherent, false, true, false, false,
     "subnormal V and P: flush to zero"},
};

}  // namespace

std::span<const FillInfo> fills() { return kFills; }
const FillInfo& info(Fill fill) { return kFills[static_cast<std::size_t>(fill)]; }
std::string_view name(Fill fill) { return info(fill).name; }

Fill parse_fill(std::string_view text) {
  std::string known;
  for (const FillInfo& candidate : kFills) {
    if (candidate.name == text) return candidate.fill;
    known += concat(' ', candidate.name);
  }
  throw Error(concat("fill: must be one of", known, ", got ", text));
}

}  // namespace attest
