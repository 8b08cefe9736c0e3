#pragma once

#include "cases/tensor.h"

namespace attest {

/// What the reference says of a problem. All tensors are fp64.
///
/// outputs:       o [B,Sq,H,Dv] layout BSHD; lse [B,H,Sq] layout BHS, nats, -inf for an empty row
/// conditioning (free of any kernel's descriptor; the tolerance combines them with one). With
/// s_j the scaled scores of the visible keys, m their maximum, p_j = exp(s_j - m), l = sum p_j,
/// P_j = p_j / l, and a_j = scale * |q_i| |k_j| (Euclidean norms):
///   per element [B,Sq,H,Dv], layout BSHD
///     abs_mag         sum_j P_j |v_j|
///     abs_mag_a       sum_j P_j a_j |v_j|
///     abs_mag_gap     sum_j P_j (m - s_j) |v_j|
///     second_moment   sum_{j: p_j != 1} (2^floor(log2 p_j) v_j / l)^2
///     visible_abs_v   sum_j |v_j|
///   per row [B,H,Sq], layout BHS
///     visible         number of visible keys; a sink is one more, whose a and v are 0
///     row_max m, row_sum l, mean_a sum_j P_j a_j, mean_gap sum_j P_j (m - s_j), max_a max_j a_j,
///     max_gap max_j (m - s_j), max_raises number of keys, in order, that raise the running maximum
/// Rows that see no key: row_max = -inf, everything else 0.
struct Truth {
  TensorSet outputs;
  TensorSet conditioning;  ///< empty when it was not asked for
};

}  // namespace attest
