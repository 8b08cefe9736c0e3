#pragma once

#include <vector>

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest {

/// What the 8-bit numbers of a cache are multiplied by, for each key/value head. [G]
struct CacheScales {
  std::vector<float> k, v;  ///< both empty without kv; v in absorbed MLA
};

/// The scales of a problem's k and v. With `most` the largest number of the type (448, 57344) and
/// amax the largest magnitude that the fill draws for the head, over all batch entries and slots:
///
///   amax / most (1 + u)   rounded to fp32; u uniform in [0, 1), drawn for the head from the stream
///                         k_scale or v_scale, so that no two scales are alike, nor too small
///   2^n, at least amax / most     of fills with an exact answer, which it leaves exact
///   1                             of v of fill denormal, which is drawn as subnormals of the type,
///                                 and where amax = 0
CacheScales cache_scales(const Problem&);

/// Adds them as k_scale and v_scale, fp32, layout G.
void add_cache_scales(const Problem&, const CacheScales&, TensorSet&);

}  // namespace attest
