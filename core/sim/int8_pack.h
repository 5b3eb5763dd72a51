/* Rounding weights to int8 and laying them out for the kernels. */
#ifndef SNN_SIM_INT8_PACK_H
#define SNN_SIM_INT8_PACK_H

#include "graph/stored.h"
#include "sim/int8_model.h"

/* unit[o] = max(unit[o], largest |w * amplitude| of output channel o, divided by 127). `stored`: where the weights come
 * from unless they are floats. */
void snn_int8_widest(const snn_conv_args *a, const snn_stored *stored, const float *amplitude, uint32_t threads,
                     float *unit);

/* One convolution to pack; `unit` are coarse units, [out_c]. */
typedef struct snn_int8_packing {
  const snn_conv_args *conv;
  const snn_stored *stored; /* NULL: the weights are floats */
  const float *amplitude, *unit;
  uint32_t unroll, columns, groups, blocks, threads;
  int32_t *positive, *negative; /* [out_c], out: sums of a channel's weights of either sign, without theirs */
} snn_int8_packing;

/* To [block][kernel_h][columns][in_c + 1][groups][64], the last row of a tap all zeros: column x of the widened kernel
 * reaches output j of `unroll` through the kernel's own column x - j * stride, where there is one; other weights are 0.
 */
void snn_int8_pack(const snn_int8_packing *p, int8_t *to);

/* To [kernel_h][kernel_w][group_in][out_c]. */
void snn_int8_round_plain(const snn_int8_packing *p, int8_t *to);

#endif
