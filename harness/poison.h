#pragma once

#include <functional>

#include "cases/problem.h"
#include "cases/tensor.h"
#include "harness/judge.h"

namespace attest {

/// True where caches have slots that belong to no key: behind the lengths of batch entries, behind
/// the last key of a page, in spare pages; in a layer also those that its new tokens will fill.
bool has_unused_slots(const Problem&);

/// A copy of the inputs with `value`, rounded to their type, in all such slots of k and v or the
/// caches. Everything else keeps its bits, block_table's entries for pages without keys too.
TensorSet with_unused_slots(const Problem&, const TensorSet& inputs, double value);

/// Runs the kernel on other inputs.
using Rerun = std::function<TensorSet(const TensorSet& inputs)>;

/// Runs the kernel again with +inf and with 1e4 in unused slots (of e4m3 with 448, its largest
/// number), where make_inputs() has NaN, and asks for the bits of `outputs`, which the kernel left
/// for `inputs`. Fails the judgement with Check::poison where they differ. NaN alone does not tell:
/// a maximum drops it, and a test for NaN hides it. Does nothing for problems without unused slots.
void ask_poison(const Problem&, const TensorSet& inputs, const TensorSet& outputs, const Rerun&,
                Judgement&);

}  // namespace attest
