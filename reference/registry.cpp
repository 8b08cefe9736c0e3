#include "reference/blocks.h"
#include "reference/variants.h"

namespace attest::reference::ATTEST_ISA {
namespace {

// In the order of enum Variant, which comes from the same table.
constexpr void (*kVariants[])(const Task&) = {
#define ATTEST_VARIANT(name) name,
#include "cases/variants.def"
};

}  // namespace

void attend(Variant variant, const Task& task) {
  fix_cache_sizes();
  kVariants[static_cast<Index>(variant)](task);
}

}  // namespace attest::reference::ATTEST_ISA
