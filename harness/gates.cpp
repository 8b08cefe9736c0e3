#include "harness/gates.h"

namespace attest {

double nmse_limit(const Descriptor& d) {
  const auto rounds_to = [&](Dtype dtype) { return d.o_type == dtype || d.p_type == dtype; };
  if (d.o_type == Dtype::bf16) return 2e-5;
  if (d.p_type == Dtype::bf16) return 1.2e-5;
  if (rounds_to(Dtype::fp16)) return 4e-7;
  if (rounds_to(Dtype::fp32) || d.u_a > unit_roundoff(Dtype::fp64)) return 4e-11;
  return 1e-28;
}

}  // namespace attest
