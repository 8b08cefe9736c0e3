#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace attest {

using Index = std::int64_t;

/// Keys begin .. end-1 of a batch entry; none where begin = end.
struct KeyRange {
  Index begin = 0, end = 0;

  Index size() const { return end - begin; }
};

/// Which keys a query sees. causal is bottom-right: query i sees keys j <= i + Sk - Sq; top-left:
/// j <= i.
enum class Mask { none, causal, causal_top_left };

/// Sliding window: a query at key position n sees keys n - left .. n + right, both included; -1: no
/// bound. Position n is i + Sk - Sq, under causal_top_left i.
struct Window {
  Index left = -1, right = -1;

  bool operator==(const Window&) const = default;
};

/// Which axes a tensor of one value a pair (query, key) has beside [Sq, Sk]; the others have extent
/// 1: shared [1,1,Sq,Sk], batch [B,1,Sq,Sk], head [1,H,Sq,Sk], full [B,H,Sq,Sk].
enum class PerPair { none, shared, batch, head, full };

/// What the denominator of the softmax has beside the keys: nothing; 1, as if of a key of score 0
/// and value 0 (off-by-one softmax); exp(sinks[h]), learned for each query head.
enum class Sink { none, one, learned };

std::string_view name(Mask);
std::string_view name(PerPair);
std::string_view name(Sink);
Mask parse_mask(std::string_view);
PerPair parse_per_pair(std::string_view key, std::string_view);
Sink parse_sink(std::string_view);

/// `127,0`; `none` where neither side is bounded.
std::string print(const Window&);
Window parse_window(std::string_view);

}  // namespace attest
