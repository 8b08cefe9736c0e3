// Grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245, section 2.2): H / G neighbouring
// query heads share one key/value head.
//
//   s[i,j]     = scale sum_d q[b,i,h,d] k[b,j,g,d]      g = h / (H / G)
//   s[i,j]     = capped, biased and masked, where the task says so (scores.h)
//   p[i,:]     = softmax of s[i,:], lse[b,h,i] beside it
//   o[b,i,h,:] = sum_j p[i,j] v[b,j,g,:]
//
// scale = 1 / sqrt(D), or as given.
//
// q [B,Sq,H,D]  k [B,Sk,G,D]  v [B,Sk,G,Dv]  ->  o [B,Sq,H,Dv]  lse [B,H,Sq], nats
#include "reference/conditioning.h"
#include "reference/scores.h"
#include "reference/softmax.h"
#include "reference/variants.h"

namespace attest::reference::ATTEST_ISA {

void gqa(const Task& t) {
  const Index heads_per_group = t.H / t.G;
  Inputs in(t);
  Conditioning conditioning(t);
  Scratch scratch(t);

  for (Index b = 0; b < t.B; ++b) {
    in.read(b);
    conditioning.read(in);
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (Index h = 0; h < t.H; ++h)
      for (Index first = 0; first < t.Sq; first += kBlockRows) {
        const Index g = h / heads_per_group;
        Rows rows = rows_from(t, b, h, first);
        const ConstMatrixRef q_bh = in.q(rows);              // [rows, D]
        const ConstMatrixRef k_bg = in.k(g, rows.keys);      // [keys, D]
        const ConstMatrixRef v_bg = in.v(g, rows.keys);      // [keys, Dv]
        MatrixRef s = scratch.s(rows), p = scratch.p(rows);  // [rows, keys]
        MatrixMap o = elements_of(t.o, t, rows);             // [rows, Dv]

        s.noalias() = t.scale * q_bh * k_bg.transpose();  // scores
        shape_scores(t, rows, s);
        softmax(s, rows, p, row_values_of(t.lse, t, rows));  // probabilities
        o.noalias() = p * v_bg;                              // weighted mean of the values

        conditioning.emit(g, rows, q_bh, s, p);
      }
  }
}

}  // namespace attest::reference::ATTEST_ISA
