#include "reference/inputs.h"

#include "reference/decode.h"

namespace attest::reference::ATTEST_ISA {
namespace {

/// x [G * keys, width] times its head's scale: exact, as 8-bit numbers and scales in fp32 have 28
/// bits together.
void dequantize(const double* scale, Index G, Index keys, Matrix& x) {
  if (scale == nullptr) return;
  for (Index g = 0; g < G; ++g) x.middleRows(g * keys, keys) *= scale[g];
}

}  // namespace

Inputs::Inputs(const Task& t) : t_(t), q_(t.H * t.Sq, t.D) {}

void Inputs::read(Index b) {
  b_ = b;
  keys_ = keys_in_use(t_, b);
  k_.resize(t_.G * keys_, t_.D);
  v_.resize(t_.G * keys_, t_.Dv);
  decode_heads("q", *t_.q, b, t_.Sq, q_.data());
  decode_heads("k", *t_.k, b, keys_, k_.data());
  decode_heads("v", *t_.v, b, keys_, v_.data());
  dequantize(t_.k_scale, t_.G, keys_, k_);
  dequantize(t_.v_scale, t_.G, keys_, v_);
}

ConstMatrixRef Inputs::q(const Rows& rows) const {
  return q_.middleRows(rows.h * t_.Sq + rows.first, rows.count);
}

ConstMatrixRef Inputs::k(Index g, Index keys) const { return k_.middleRows(g * keys_, keys); }
ConstMatrixRef Inputs::v(Index g, Index keys) const { return v_.middleRows(g * keys_, keys); }

}  // namespace attest::reference::ATTEST_ISA
