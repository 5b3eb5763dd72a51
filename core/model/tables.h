/* Tables of a calibration in a safetensors container: the same in a calibration file and in a model file. */
#ifndef SNN_MODEL_TABLES_H
#define SNN_MODEL_TABLES_H

#include "graph/calibration.h"
#include "model/format.h"

enum { SNN_MAX_TABLE_TENSOR_NAME = SNN_MAX_NAME + 64 };

/* The tensor of a layer in a table, such as "if.matched.8.conv1". */
void snn_table_tensor_name(char out[SNN_MAX_TABLE_TENSOR_NAME], snn_calibration_table key, const char *layer);

/* The member `tables` of SNN_KEY_CALIBRATION; NULL when out of memory. */
json_t *snn_tables_json(const snn_calibration *c);

/* Are there factors or shifts, which programs of version 1 do not know? */
bool snn_tables_have_more(const snn_calibration *c);

/* Tensors of all tables, in order: tensors[k] with values[k]. Both and the names come from the arena. Errors:
 * NO_MEMORY. */
snn_status snn_tables_tensors(const snn_calibration *c, snn_arena *arena, snn_tensor **tensors, const float ***values,
                              size_t *n, snn_error *err);

/* Tables of `net` from a container whose description has the member `tables`. Values are used where they lie. Errors:
 * FORMAT, UNSUPPORTED, TOO_LARGE, NO_MEMORY. */
snn_status snn_tables_read(const snn_safetensors *file, const snn_network *net, const json_t *about,
                           snn_calibration **out, snn_error *err);

#endif
