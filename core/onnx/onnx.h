/* ONNX files to unfinished networks: the only header of this room that others include.
 *
 * The result mirrors the file one operator at a time: batch normalisation is still a layer of its own, neurons have no
 * thresholds (neurons.n = 0), and layers that nothing reads may be left over. core/convert folds, reorders and drops
 * them and calls snn_graph_finish. The last layer is the network's output. */
#ifndef SNN_ONNX_ONNX_H
#define SNN_ONNX_ONNX_H

#include <stddef.h>

#include "snn/network.h"

/* Read an ONNX file of at most 2 GiB, with its external data files when it has some. *out is owned by the caller
 * (snn_network_free) and set only on success; the file may change or vanish afterwards. Errors: NOT_FOUND, IO, FORMAT
 * (malformed; `where` names the node or tensor), UNSUPPORTED (`where` names the node, `text` its operator and what
 * would be needed), TOO_LARGE, NO_MEMORY. */
snn_status snn_onnx_import(const char *path, snn_network **out, snn_error *err);

/* The same from n bytes in memory, borrowed for the call. Relative names of external data files are looked up in
 * `folder`; with NULL such models are refused. */
snn_status snn_onnx_import_memory(const void *bytes, size_t n, const char *folder, snn_network **out, snn_error *err);

#endif
