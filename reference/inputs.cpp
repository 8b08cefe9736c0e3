#include "reference/inputs.h"

#include "reference/decode.h"

namespace attest::reference::ATTEST_ISA {

Inputs::Inputs(const Task& t) : t_(t), q_(t.H * t.Sq, t.D) {}

void Inputs::read(Index b) {
  b_ = b;
  keys_ = keys_in_use(t_, b);
  k_.resize(t_.G * keys_, t_.D);
  v_.resize(t_.G * keys_, t_.Dv);
  decode_heads("q", *t_.q, b, t_.Sq, q_.data());
  decode_heads("k", *t_.k, b, keys_, k_.data());
  decode_heads("v", *t_.v, b, keys_, v_.data());
}

ConstMatrixRef Inputs::q(const Rows& rows) const {
  return q_.middleRows(rows.h * t_.Sq + rows.first, rows.count);
}

ConstMatrixRef Inputs::k(Index g, Index keys) const { return k_.middleRows(g * keys_, keys); }
ConstMatrixRef Inputs::v(Index g, Index keys) const { return v_.middleRows(g * keys_, keys); }

}  // namespace attest::reference::ATTEST_ISA
