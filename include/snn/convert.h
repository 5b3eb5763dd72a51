/* From a trained CNN (ONNX) to a spiking network.
 *
 * snn_convert imports the file, folds and rewrites the graph, runs the float network on calibration pictures, and sets
 * one threshold per layer or channel from the activations seen. */
#ifndef SNN_CONVERT_H
#define SNN_CONVERT_H

#include "snn/dataset.h"
#include "snn/network.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum snn_threshold_rule {
  SNN_THRESHOLD_MAX,        /* the largest activation seen: Deng & Gu 2021, Algorithm 1 (spike/threshold balancing) */
  SNN_THRESHOLD_PERCENTILE, /* a percentile of all activations, zeros included: the robust norm of Rueckauer et al. 2017
                             */
  SNN_THRESHOLD_CLIP,       /* the bound of a clipped ReLU in the source network (Deng & Gu's threshold ReLU); of a
                               quantised activation T / Tq, its step times the most levels of any layer (Yan, Zhou & Wong,
                               eq. 10) */
  SNN_THRESHOLD_GIVEN,      /* what the file's metadata says: networks trained as spiking ones (core/onnx/README.md) */
  SNN_THRESHOLD_CTT,        /* clip where every activation is quantised, else the percentile; and then trained a channel
                               for runs of `if`: Yan, Zhou & Wong, Algorithm 2 (core/convert/ctt.c) */
  SNN_THRESHOLD_AUTO /* given where the file gives them, clip where every activation is quantised, else percentile */
} snn_threshold_rule;

typedef enum snn_threshold_scope { SNN_PER_LAYER, SNN_PER_CHANNEL } snn_threshold_scope;

/* Called from time to time on long work, always from the calling thread; false cancels (SNN_ERR_CANCELLED). */
typedef bool (*snn_progress_fn)(void *context, const char *phase, size_t done, size_t total);

typedef struct snn_convert_options {
  const char *name;                 /* model name; NULL: none */
  const snn_preprocess *preprocess; /* NULL: mean 0, std 1, black background */
  const char *const *labels;        /* class names, or NULL */
  size_t n_labels;
  const snn_dataset *data; /* pictures to take activations from; NULL where the thresholds are clips or given */
  size_t data_limit;       /* use at most this many, evenly spaced; 0: all */
  const char *data_name;   /* for the provenance; NULL: not named */
  snn_threshold_rule threshold;
  double percentile; /* (0, 100], for SNN_THRESHOLD_PERCENTILE, CTT and AUTO */
  snn_threshold_scope scope;
  const char *recommended_init;   /* written to the model as its default `init`; NULL: "half", or what the network asks
                                     for */
  uint32_t recommended_timesteps; /* default T; 0: 32, or what the network asks for */
  uint32_t threads;               /* 0: the machine's */
  snn_progress_fn progress;       /* NULL: none */
  void *progress_context;
} snn_convert_options;

/* Convert an ONNX file. A network all of whose activations are quantised, converted by its clips, recommends neuron asg
 * at T = its levels, which then gives the float network's own answers. Errors: IO, FORMAT, UNSUPPORTED (`where` names
 * the node, `text` its operator and what would be needed), ARGUMENT (labels of the wrong length, data of the wrong
 * shape), CANCELLED, NO_MEMORY. */
snn_status snn_convert_onnx(const char *onnx_path, const snn_convert_options *opt, snn_network **out, snn_error *err);

#ifdef __cplusplus
}
#endif
#endif
