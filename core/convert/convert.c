/* Conversion from end to end: ONNX in, a finished spiking network out. Holds the order of the steps and the provenance;
 * the steps themselves live in onnx/, graph/passes.c, statistics.c and thresholds.c. */
#include "snn/convert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "convert/ctt.h"
#include "convert/thresholds.h"
#include "graph/passes.h"
#include "onnx/onnx.h"

static bool takes_percentile(const snn_convert_options *opt) {
  return opt->threshold == SNN_THRESHOLD_PERCENTILE || opt->threshold == SNN_THRESHOLD_CTT ||
         opt->threshold == SNN_THRESHOLD_AUTO;
}

static snn_status check_options(const snn_convert_options *opt, snn_error *err) {
  if (takes_percentile(opt) && !(opt->percentile > 0 && opt->percentile <= 100))
    return snn_fail(err, SNN_ERR_ARGUMENT, "threshold", "percentile %g is out of range; above 0 and at most 100",
                    opt->percentile);
  if (opt->data && snn_dataset_count(opt->data) == 0)
    return snn_fail(err, SNN_ERR_ARGUMENT, "data", "there are no pictures");
  snn_init init;
  if (opt->recommended_init && !snn_init_parse(opt->recommended_init, &init))
    return snn_fail(err, SNN_ERR_ARGUMENT, "init", "'%.40s' is not known", opt->recommended_init);
  if (opt->name && strlen(opt->name) >= SNN_MAX_NAME)
    return snn_fail(err, SNN_ERR_ARGUMENT, "name", "longer than %d bytes", SNN_MAX_NAME - 1);
  return SNN_OK;
}

static snn_status set_metadata(snn_network *net, const snn_convert_options *opt, snn_error *err) {
  size_t classes = snn_network_classes(net);
  if (opt->preprocess) net->preprocess = *opt->preprocess;
  if (opt->recommended_timesteps) net->recommended.timesteps = opt->recommended_timesteps;
  if (opt->recommended_init) snn_init_parse(opt->recommended_init, &net->recommended.init);
  if (opt->name && !(net->name = snn_arena_text(&net->arena, opt->name, strlen(opt->name))))
    return snn_fail_memory(err, "the name");
  if (!opt->n_labels) return SNN_OK;
  if (opt->n_labels != classes)
    return snn_fail(err, SNN_ERR_ARGUMENT, "labels", "%zu labels for the network's %zu classes", opt->n_labels,
                    classes);
  net->labels = snn_arena_alloc(&net->arena, classes, sizeof *net->labels);
  if (!net->labels) return snn_fail_memory(err, "labels");
  for (size_t i = 0; i < classes; i++) {
    if (strlen(opt->labels[i]) >= SNN_MAX_NAME)
      return snn_fail(err, SNN_ERR_ARGUMENT, "labels", "label %zu is longer than %d bytes", i, SNN_MAX_NAME - 1);
    if (!(net->labels[i] = snn_arena_text(&net->arena, opt->labels[i], strlen(opt->labels[i]))))
      return snn_fail_memory(err, "labels");
  }
  net->n_labels = classes;
  return SNN_OK;
}

/* What the network itself asks for: the rule behind AUTO, and recommendations that hold unless opt gives others. */
static snn_status settle_rule(snn_network *net, snn_convert_options *opt, bool trains, snn_error *err) {
  const uint32_t levels = snn_quantised_levels(net);
  bool given = false;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    given = given || (net->nodes[i].kind == SNN_LAYER_NEURON && net->nodes[i].neurons.n > 0);
  if (trains && given)
    return snn_fail(err, SNN_ERR_ARGUMENT, "threshold",
                    "the file's metadata gives thresholds; there is nothing to train");
  if (opt->threshold == SNN_THRESHOLD_AUTO || trains)
    opt->threshold = given ? SNN_THRESHOLD_GIVEN : levels ? SNN_THRESHOLD_CLIP : SNN_THRESHOLD_PERCENTILE;
  if (given != (opt->threshold == SNN_THRESHOLD_GIVEN))
    return snn_fail(err, SNN_ERR_ARGUMENT, "threshold",
                    given ? "the file's metadata gives thresholds, which its weights were trained with; use 'given'"
                          : "the file's metadata gives no thresholds (spiked.fire); use another rule than 'given'");
  if (!opt->data && (trains || (opt->threshold != SNN_THRESHOLD_CLIP && !given)))
    return snn_fail(err, SNN_ERR_ARGUMENT, "data", "thresholds are taken from activations, so pictures are needed");
  if (levels == 0 || opt->threshold != SNN_THRESHOLD_CLIP) return SNN_OK;
  net->recommended = (snn_recommended){.timesteps = levels,
                                       .init = SNN_INIT_ZERO,
                                       .neuron = trains ? SNN_NEURON_IF : SNN_NEURON_ASG,
                                       .tau = net->recommended.tau};
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON && net->nodes[i].neurons.rounding > 0)
      net->recommended.init = SNN_INIT_HALF;
  return SNN_OK;
}

/* A JSON string without surprises: quotes and backslashes escaped, anything outside printable ASCII replaced. */
static void json_text(char *out, size_t n_out, const char *s) {
  size_t n = 0;
  for (; *s && n + 3 < n_out; s++) {
    if (*s == '"' || *s == '\\') out[n++] = '\\';
    out[n++] = *s >= 0x20 && *s < 0x7f ? *s : '?';
  }
  out[n] = 0;
}

/* How the network was made. Holds nothing that changes from run to run, so a conversion can be repeated byte for byte.
 */
static snn_status set_provenance(snn_network *net, const char *onnx_path, const snn_convert_options *opt, bool trained,
                                 size_t used, snn_error *err) {
  char source[512], data[512], sha256[SNN_SHA256_HEX] = "", rule[64] = "clip", text[1600];
  snn_mapping file;
  snn_status status = snn_map_file(onnx_path, SIZE_MAX, &file, err);
  if (status != SNN_OK) return status;
  snn_sha256_hex(file.bytes, file.n_bytes, sha256);
  snn_unmap(&file);
  json_text(source, sizeof source, snn_base_name(onnx_path));
  json_text(data, sizeof data, opt->data_name ? opt->data_name : "");
  if (opt->threshold == SNN_THRESHOLD_GIVEN) snprintf(rule, sizeof rule, "given");
  if (opt->threshold == SNN_THRESHOLD_MAX) snprintf(rule, sizeof rule, "max");
  if (opt->threshold == SNN_THRESHOLD_PERCENTILE) snprintf(rule, sizeof rule, "percentile=%g", opt->percentile);
  int n = snprintf(text, sizeof text,
                   "{\"tool\":\"snn convert " SPIKED_VERSION
                   "\",\"source\":\"%s\",\"source_sha256\":\"%s\",\"threshold\":\"%s%s\","
                   "\"per\":\"%s\",\"data\":\"%s\",\"pictures\":%zu}",
                   source, sha256, trained ? "ctt from " : "", rule,
                   trained || opt->scope == SNN_PER_CHANNEL ? "channel" : "layer", data, used);
  net->provenance = snn_arena_text(&net->arena, text, (size_t)n);
  return net->provenance ? SNN_OK : snn_fail_memory(err, "the provenance");
}

snn_status snn_convert_onnx(const char *onnx_path, const snn_convert_options *options, snn_network **out,
                            snn_error *err) {
  snn_convert_options settled = *options, *opt = &settled;
  snn_network *net = NULL;
  snn_activation_stats *stats = NULL;
  size_t used = 0;
  const bool trains = opt->threshold == SNN_THRESHOLD_CTT;
  snn_status status = check_options(opt, err);
  if (status == SNN_OK) status = snn_onnx_import(onnx_path, &net, err);
  if (status == SNN_OK) status = snn_graph_rewrite(net, err);
  if (status == SNN_OK) status = snn_graph_finish(net, false, err);
  if (status == SNN_OK) status = settle_rule(net, opt, trains, err);
  if (status == SNN_OK) status = set_metadata(net, opt, err);
  if (status == SNN_OK && opt->data) {
    snn_shape input = snn_network_input(net);
    if (input.c != 1 && input.c != 3)
      status = snn_fail(err, SNN_ERR_UNSUPPORTED, net->nodes[0].name,
                        "the input has %u channels; pictures have 1 (gray) or 3 (RGB)", input.c);
  }
  if (status == SNN_OK && opt->data) status = snn_activation_stats_collect(net, opt, &stats, &used, err);
  if (status == SNN_OK) status = snn_thresholds_set(net, stats, opt, err);
  if (status == SNN_OK && trains) status = snn_ctt_train(net, opt, err);
  if (status == SNN_OK) status = set_provenance(net, onnx_path, opt, trains, used, err);
  if (status == SNN_OK) status = snn_graph_finish(net, true, err);
  if (stats) snn_activation_stats_free(net, stats);
  if (status == SNN_OK)
    *out = net;
  else
    snn_network_free(net);
  return status;
}
