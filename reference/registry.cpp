#include <Eigen/Core>

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
  // Eigen cuts long sums into pieces that fit the caches it finds. Fixed sizes (first, second and
  // third level, bytes) give the same pieces on every machine that runs this instruction set.
  Eigen::setCpuCacheSizes(32 << 10, 1 << 20, 8 << 20);
  kVariants[static_cast<Index>(variant)](task);
}

}  // namespace attest::reference::ATTEST_ISA
