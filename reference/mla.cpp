// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1) behind its projections.
// A score has a part without position (Dn values) and a rotary one (Dr values, rotated already).
//
// Expanded: k_nope and v were made of the latent, a head each.           G = H, D = Dn + Dr
//
//   s[i,j]     = scale (sum_n q_nope[b,i,h,n] k_nope[b,j,h,n] + sum_r q_pe[b,i,h,r] k_pe[b,j,h,r])
//   s[i,j]     = capped, biased and masked, where the task says so (scores.h)
//   p[i,:]     = softmax of s[i,:], lse[b,h,i] beside it
//   o[b,i,h,:] = sum_j p[i,j] v[b,j,h,:]
//
// Absorbed: the projection to k_nope is part of q_c = q_nope W_UK, the one to v follows o; the
// latent c_kv is key and value of all heads.                          G = 1, Dv = L, D = L + Dr
//
//   s[i,j]     = scale (sum_c q_c[b,i,h,c] c_kv[b,j,c] + sum_r q_pe[b,i,h,r] k_pe[b,j,r])
//   s[i,j], p[i,:] as above
//   o[b,i,h,:] = sum_j p[i,j] c_kv[b,j,:]
//
// In both, scale = yarn_mscale(factor, mscale_all_dim)^2 / sqrt(Dn + Dr), or as given.
// q [B,Sq,H,D]  k [B,Sk,G,D]  v [B,Sk,G,Dv]  ->  o [B,Sq,H,Dv]  lse [B,H,Sq], nats
#include "reference/conditioning.h"
#include "reference/scores.h"
#include "reference/softmax.h"
#include "reference/variants.h"

namespace attest::reference::ATTEST_ISA {
namespace {

void expanded(const Task& t, const Inputs& in, const Conditioning& conditioning, Scratch& scratch,
              Rows& rows) {
  const ConstMatrixRef q = in.q(rows), k = in.k(rows.h, rows.keys);  // [rows, D] [keys, D]
  const ConstMatrixRef q_nope = q.leftCols(t.Dn), q_pe = q.rightCols(t.Dr);
  const ConstMatrixRef k_nope = k.leftCols(t.Dn), k_pe = k.rightCols(t.Dr);
  const ConstMatrixRef v = in.v(rows.h, rows.keys);    // [keys, Dv]
  MatrixRef s = scratch.s(rows), p = scratch.p(rows);  // [rows, keys]
  MatrixMap o = elements_of(t.o, t, rows);             // [rows, Dv]

  s.noalias() = t.scale * q_nope * k_nope.transpose();
  s.noalias() += t.scale * q_pe * k_pe.transpose();  // scores
  shape_scores(t, rows, s);
  softmax(s, rows, p, row_values_of(t.lse, t, rows));  // probabilities
  o.noalias() = p * v;                                 // weighted mean of the values

  conditioning.emit(rows.h, rows, q, s, p);
}

void absorbed(const Task& t, const Inputs& in, const Conditioning& conditioning, Scratch& scratch,
              Rows& rows) {
  constexpr Index kOnlyHead = 0;
  const ConstMatrixRef q = in.q(rows), latent = in.k(kOnlyHead, rows.keys);  // [rows, D] [keys, D]
  const ConstMatrixRef q_c = q.leftCols(t.Dv), q_pe = q.rightCols(t.Dr);
  const ConstMatrixRef c_kv = latent.leftCols(t.Dv), k_pe = latent.rightCols(t.Dr);
  MatrixRef s = scratch.s(rows), p = scratch.p(rows);  // [rows, keys]
  MatrixMap o = elements_of(t.o, t, rows);             // [rows, Dv]

  s.noalias() = t.scale * q_c * c_kv.transpose();
  s.noalias() += t.scale * q_pe * k_pe.transpose();  // scores
  shape_scores(t, rows, s);
  softmax(s, rows, p, row_values_of(t.lse, t, rows));  // probabilities
  o.noalias() = p * c_kv;                              // weighted mean of the latents

  conditioning.emit(kOnlyHead, rows, q, s, p);
}

}  // namespace

void mla(const Task& t) {
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
        (t.form == Form::expanded ? expanded : absorbed)(t, in, conditioning, scratch, rows);
      }
  }
}

}  // namespace attest::reference::ATTEST_ISA
