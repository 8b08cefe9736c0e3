#include "reference/mask.h"

#include <algorithm>

namespace attest::reference {

Index visible_keys(Mask mask, Index Sq, Index keys, Index i) {
  switch (mask) {
    case Mask::none:
      return keys;
    case Mask::causal:  // the last query, i = Sq - 1, sees all keys; each one before it one fewer
      return std::max<Index>(0, keys - (Sq - 1 - i));
    case Mask::causal_top_left:
      return std::min(keys, i + 1);
  }
  return 0;
}

}  // namespace attest::reference
