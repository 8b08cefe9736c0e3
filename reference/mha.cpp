// Multi-head attention (Vaswani et al. 2017, arXiv:1706.03762, sections 3.2.1 and 3.2.2): every
// query head has a key/value head of its own, G = H.
//
//   s[i,j]     = scale sum_d q[b,i,h,d] k[b,j,h,d]      scale = 1 / sqrt(D), or as given
//   s[i,j]     = capped, biased and masked, where the task says so (scores.h)
//   p[i,:]     = softmax of s[i,:], lse[b,h,i] beside it
//   o[b,i,h,:] = sum_j p[i,j] v[b,j,h,:]
//
// q [B,Sq,H,D]  k [B,Sk,H,D]  v [B,Sk,H,Dv]  ->  o [B,Sq,H,Dv]  lse [B,H,Sq], nats
#include "reference/conditioning.h"
#include "reference/scores.h"
#include "reference/softmax.h"
#include "reference/variants.h"

namespace attest::reference::ATTEST_ISA {

void mha(const Task& t) {
  Inputs in(t);
  Conditioning conditioning(t);
  Scratch scratch(t);

  for (Index b = 0; b < t.B; ++b) {
    in.read(b);
    conditioning.read(in);
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (Index h = 0; h < t.H; ++h)
      for (Index first = 0; first < t.Sq; first += kBlockRows) {
        Rows rows = rows_from(t, b, h, first);
        const ConstMatrixRef q_bh = in.q(rows);              // [rows, D]
        const ConstMatrixRef k_bh = in.k(h, rows.keys);      // [keys, D]
        const ConstMatrixRef v_bh = in.v(h, rows.keys);      // [keys, Dv]
        MatrixRef s = scratch.s(rows), p = scratch.p(rows);  // [rows, keys]
        MatrixMap o = elements_of(t.o, t, rows);             // [rows, Dv]

        s.noalias() = t.scale * q_bh * k_bh.transpose();  // scores
        shape_scores(t, rows, s);
        softmax(s, rows, p, row_values_of(t.lse, t, rows));  // probabilities
        o.noalias() = p * v_bh;                              // weighted mean of the values

        conditioning.emit(h, rows, q_bh, s, p);
      }
  }
}

}  // namespace attest::reference::ATTEST_ISA
