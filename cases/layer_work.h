#pragma once

#include "cases/problem.h"

namespace attest {

/// What a layer cannot do without, however its stages are run.
struct LayerWork {
  double flops = 0;  ///< floating-point operations, two for a multiply-add
  double bytes = 0;  ///< between device memory and processor
};

/// flops: every matrix times its rows, 2 rows N K, and core_of(layer).flops(); w_ukv takes the
/// tokens of the cache in expanded form, new ones in absorbed form, all others new ones. Norms,
/// rotations, biases and the gate are not counted.
///
/// bytes: weights and x are read once, y is written once, and each row of a cache moves once: it is
/// read where it is an earlier token's, else written. What one stage hands to the next is not
/// counted, nor are tables of pages and lengths. With tp > 1 all ranks together.
/// Throws attest::Error for a problem of another level.
LayerWork layer_work(const Problem&);

}  // namespace attest
