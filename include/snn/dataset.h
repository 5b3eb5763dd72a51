/* Labelled pictures for conversion, evaluation and calibration.
 *
 * A data set is one of: a folder with one sub-folder of PNGs per class; a folder of PNGs (no labels); a CIFAR-10 binary
 * file, or a folder of them; an IDX image file with its label file beside it (…images… -> …labels…). Reading is lazy:
 * opening lists, snn_dataset_read decodes one picture. Reads may come from several threads at once. */
#ifndef SNN_DATASET_H
#define SNN_DATASET_H

#include "snn/network.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct snn_dataset snn_dataset;

typedef struct snn_dataset_options {
  /* Class names in the model's order, or NULL: folders named like these get their index; else folders are numbered in
   * byte order of their names. Borrowed for the call. */
  const char *const *labels;
  size_t n_labels;
} snn_dataset_options;

/* Open. Errors: NOT_FOUND, IO, FORMAT (names the file), ARGUMENT (an empty folder, a sub-folder that is no known
 * class). */
snn_status snn_dataset_open(const char *path, const snn_dataset_options *opt, snn_dataset **out, snn_error *err);
void snn_dataset_free(snn_dataset *d);

size_t snn_dataset_count(const snn_dataset *d);
int32_t snn_dataset_label(const snn_dataset *d, size_t i); /* class index, -1 when unknown */
const char *snn_dataset_item(const snn_dataset *d, size_t i, char *buf,
                             size_t n_buf);      /* for messages: "cat/17.png" or "#17" in buf */
bool snn_dataset_labelled(const snn_dataset *d); /* every picture has a label */

/* Picture i as 8-bit pixels [h][w][c] of the given shape, resampled like image.h says when its size differs. Errors:
 * IO, FORMAT (names the file), NO_MEMORY. */
snn_status snn_dataset_read(const snn_dataset *d, size_t i, snn_shape shape, uint8_t background, uint8_t *out,
                            snn_error *err);

#ifdef __cplusplus
}
#endif
#endif
