/* Labelled pictures for conversion, evaluation and calibration.
 *
 * A data set is one of: a folder with one sub-folder of PNGs per class; a folder of PNGs (no labels); a CIFAR-10 binary
 * file, or a folder of them (its data_batch_*.bin where there are such, else every *.bin, in byte order); an IDX image
 * file of bytes with its label file beside it (…images… -> …labels…, idx3 -> idx1; without one it has no labels).
 * Compressed files are refused. At most a million pictures. Reading is lazy: opening lists, snn_dataset_read decodes
 * one picture. Reads may come from several threads at once. CIFAR-10 and IDX files are mapped: replace them by rename,
 * never in place, while a data set is open. */
#ifndef SNN_DATASET_H
#define SNN_DATASET_H

#include "snn/network.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct snn_dataset snn_dataset;

typedef struct snn_dataset_options {
  /* Class names in the model's order: a class folder gets the index of its name, and every label must be below
   * n_labels. NULL: folders are numbered in byte order of their names. Borrowed for the call. */
  const char *const *labels;
  size_t n_labels;
} snn_dataset_options;

/* Open; opt may be NULL. Errors: NOT_FOUND, IO, FORMAT (names the file), UNSUPPORTED (compressed; IDX of other channels
 * than 1 or 3), ARGUMENT (a folder without pictures, a sub-folder that is no known class, a label the model has no
 * class for), TOO_LARGE, NO_MEMORY. *out is set only on success and freed by snn_dataset_free. */
snn_status snn_dataset_open(const char *path, const snn_dataset_options *opt, snn_dataset **out, snn_error *err);
void snn_dataset_free(snn_dataset *d);

size_t snn_dataset_count(const snn_dataset *d);
int32_t snn_dataset_label(const snn_dataset *d, size_t i); /* class index, -1 when unknown */
/* A name for messages, written to buf and returned: "cat/17.png", "17.png", "#17" or "data_batch_2.bin #17". */
const char *snn_dataset_item(const snn_dataset *d, size_t i, char *buf, size_t n_buf);
bool snn_dataset_labelled(const snn_dataset *d); /* every picture has a label */

/* Picture i as 8-bit pixels [h][w][c] of the given shape, resampled like image.h says when its size differs; out
 * is caller-owned. Errors: IO, NOT_FOUND (removed since), FORMAT (names the file), TOO_LARGE, ARGUMENT (i, or shape.c
 * other than 1 or 3), NO_MEMORY. */
snn_status snn_dataset_read(const snn_dataset *d, size_t i, snn_shape shape, uint8_t background, uint8_t *out,
                            snn_error *err);

#ifdef __cplusplus
}
#endif
#endif
