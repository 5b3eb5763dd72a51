/* `snn inspect`: what a model file holds, as a table or as JSON. */
#include <math.h>
#include <string.h>

#include "tool/tool.h"

typedef struct arguments {
  tool_request request;
  bool json;
} arguments;

static const struct argp_option options[] = {{"json", TOOL_KEY_JSON, NULL, 0, "as JSON", 0}, {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  (void)arg;
  switch (key) {
    case TOOL_KEY_JSON: a->json = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->request; return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

/* Smallest and largest threshold of a neuron layer. */
static void threshold_range(const snn_layer_info *info, float *low, float *high) {
  *low = *high = info->n_threshold ? info->threshold[0] : 0;
  for (size_t i = 1; i < info->n_threshold; i++) {
    *low = fminf(*low, info->threshold[i]);
    *high = fmaxf(*high, info->threshold[i]);
  }
}

static json_t *layer_json(const snn_layer_info *info) {
  json_t *inputs = json_array();
  for (size_t k = 0; k < info->n_inputs; k++) json_array_append_new(inputs, json_integer(info->inputs[k]));
  json_t *j =
      json_pack("{s:s, s:s, s:[i,i,i], s:o, s:I, s:I}", "name", info->name, "kind", snn_layer_kind_name(info->kind),
                "shape", (int)info->shape.c, (int)info->shape.h, (int)info->shape.w, "inputs", inputs, "parameters",
                (json_int_t)info->parameters, "macs", (json_int_t)info->macs);
  if (info->kind != SNN_LAYER_NEURON) return j;
  json_t *theta = json_array();
  for (size_t k = 0; k < info->n_threshold; k++) json_array_append_new(theta, json_real((double)info->threshold[k]));
  json_object_set_new(j, "threshold", theta);
  if (isfinite(info->clip)) json_object_set_new(j, "clip", json_real((double)info->clip));
  if (info->levels) json_object_set_new(j, "levels", json_integer(info->levels));
  return j;
}

/* The tables a model file carries, [] where it carries none. */
static json_t *tables_json(const snn_network *net) {
  const snn_calibration *c = snn_network_calibration(net);
  json_t *tables = json_array();
  for (size_t i = 0; c && i < snn_calibration_tables(c); i++) {
    snn_calibration_table key = snn_calibration_table_at(c, i);
    const float *factors = snn_calibration_factors(c, i);
    json_t *table = json_pack("{s:s, s:s, s:i}", "neuron", snn_neuron_name(key.neuron), "init", snn_init_name(key.init),
                              "timesteps", (int)key.timesteps);
    json_t *list = factors ? json_array() : NULL;
    for (size_t l = 0; factors && l < snn_network_layers(net); l++)
      if (snn_network_layer(net, l).kind == SNN_LAYER_NEURON)
        json_array_append_new(list, json_real((double)factors[l]));
    if (list) json_object_set_new(table, "factors", list);
    json_t *shifts = snn_calibration_shifts(c, i) ? json_array() : NULL;
    for (size_t l = 0; shifts && l < snn_network_layers(net); l++)
      if (snn_network_layer(net, l).kind == SNN_LAYER_NEURON)
        json_array_append_new(shifts, json_integer(snn_calibration_layer_shifts(c, i, l)));
    if (shifts) json_object_set_new(table, "shift", shifts);
    json_array_append_new(tables, table);
  }
  return tables;
}

static json_t *network_json(const snn_network *net) {
  const snn_preprocess *pre = snn_network_preprocess(net);
  snn_shape in = snn_network_input(net);
  snn_run_options run = snn_run_defaults(net);
  json_t *labels = json_array(), *layers = json_array(), *mean = json_array(), *std = json_array();
  for (size_t i = 0; i < snn_network_classes(net) && snn_network_label(net, i); i++)
    json_array_append_new(labels, json_string(snn_network_label(net, i)));
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info info = snn_network_layer(net, i);
    json_array_append_new(layers, layer_json(&info));
  }
  const float theta = snn_network_output_threshold(net);
  for (uint32_t c = 0; c < in.c && c < SNN_MAX_CHANNELS_IN; c++) {
    json_array_append_new(mean, json_real((double)pre->mean[c]));
    json_array_append_new(std, json_real((double)pre->std[c]));
  }
  return json_pack(
      "{s:s, s:s, s:s, s:{s:[i,i,i], s:o, s:o, s:i}, s:I, s:o, s:I, s:I, s:{s:i, s:s, s:s, s:i}, s:o, s:o, s:o, s:o, "
      "s:s, "
      "s:s}",
      "name", snn_network_name(net), "sha256", snn_network_sha256(net), "identity", snn_network_identity(net), "input",
      "shape", (int)in.c, (int)in.h, (int)in.w, "mean", mean, "std", std, "background", (int)pre->background, "classes",
      (json_int_t)snn_network_classes(net), "labels", labels, "neurons", (json_int_t)snn_network_neurons(net), "macs",
      (json_int_t)snn_network_macs(net), "recommended", "timesteps", (int)run.timesteps, "neuron",
      snn_neuron_name(run.neuron), "init", snn_init_name(run.init), "shift", (int)run.shift, "output_threshold",
      theta > 0 ? json_real((double)theta) : json_null(), "tables", tables_json(net), "layers", layers, "provenance",
      json_loads(snn_network_provenance(net), JSON_REJECT_DUPLICATES, NULL), "kernels", snn_kernels_name(),
      "int8_kernels", snn_int8_kernels_name());
}

static void print_layers(const snn_network *net) {
  printf("%4s  %-8s %-24s %-14s %11s %13s  %s\n", "#", "kind", "name", "shape", "parameters", "MACs", "threshold");
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info info = snn_network_layer(net, i);
    char shape[40], theta[64] = "", name[TOOL_MAX_TEXT];
    snprintf(shape, sizeof shape, "%ux%ux%u", info.shape.c, info.shape.h, info.shape.w);
    if (info.kind == SNN_LAYER_NEURON) {
      float low, high;
      threshold_range(&info, &low, &high);
      if (info.n_threshold == 1)
        snprintf(theta, sizeof theta, "%.5g", (double)low);
      else
        snprintf(theta, sizeof theta, "%.4g .. %.4g (%zu channels)", (double)low, (double)high, info.n_threshold);
    }
    const float output = snn_network_output_threshold(net);
    if (i + 1 == snn_network_layers(net) && output > 0)
      snprintf(theta, sizeof theta, "%.5g (readout count)", (double)output);
    printf("%4zu  %-8s %-24.24s %-14s %11llu %13llu  %s\n", i, snn_layer_kind_name(info.kind),
           tool_plain(info.name, name), shape, (unsigned long long)info.parameters, (unsigned long long)info.macs,
           theta);
  }
}

/* "if matched T=1,2,4; if-signed matched T=8", a line. */
static void print_tables(const snn_network *net) {
  const snn_calibration *c = snn_network_calibration(net);
  snn_calibration_table last = {.init = SNN_INIT_ZERO};
  for (size_t i = 0; c && i < snn_calibration_tables(c); i++) {
    snn_calibration_table key = snn_calibration_table_at(c, i);
    if (key.neuron == last.neuron && key.init == last.init)
      printf(",%u", key.timesteps);
    else
      printf("%s%s %s T=%u", i ? "; " : "", snn_neuron_name(key.neuron), snn_init_name(key.init), key.timesteps);
    last = key;
  }
  puts(c ? "" : "none");
}

static void print_network(const snn_network *net, const char *path) {
  const snn_preprocess *pre = snn_network_preprocess(net);
  snn_shape in = snn_network_input(net);
  snn_run_options run = snn_run_defaults(net);
  char text[TOOL_MAX_TEXT];
  printf("%s\n  name         %s\n  sha256       %s\n", path, tool_plain(snn_network_name(net), text),
         snn_network_sha256(net));
  printf("  input        %ux%ux%u, (pixel/255 - mean)/std with mean", in.c, in.h, in.w);
  for (uint32_t c = 0; c < in.c && c < SNN_MAX_CHANNELS_IN; c++) printf("%s%g", c ? "," : " ", (double)pre->mean[c]);
  printf(" and std");
  for (uint32_t c = 0; c < in.c && c < SNN_MAX_CHANNELS_IN; c++) printf("%s%g", c ? "," : " ", (double)pre->std[c]);
  printf("\n  classes      %zu", snn_network_classes(net));
  for (size_t i = 0; i < snn_network_classes(net) && snn_network_label(net, i); i++)
    printf("%s%s", i ? ", " : ": ", tool_plain(snn_network_label(net, i), text));
  printf(
      "\n  neurons      %llu\n  MACs         %llu (float pass)\n  recommended  T=%u, neuron=%s, init=%s%s\n  "
      "provenance   %s\n  "
      "kernels      %s, int8 %s\n  tables       ",
      (unsigned long long)snn_network_neurons(net), (unsigned long long)snn_network_macs(net), run.timesteps,
      snn_neuron_name(run.neuron), snn_init_name(run.init), run.shift ? ", shift=1" : "", snn_network_provenance(net),
      snn_kernels_name(), snn_int8_kernels_name());
  print_tables(net);
  puts("");
  print_layers(net);
}

int tool_inspect(int argc, char **argv) {
  static const struct argp_child children[] = {{&tool_model_argp, 0, NULL, 0}, {0}};
  static const struct argp argp = {options, parse, NULL, "Show what a model file holds.", children, NULL, NULL};
  arguments a = {0};
  int code = tool_parse(&argp, argc, argv, &a);
  if (code != EXIT_OK) return code;
  snn_network *net;
  snn_error err = {0};
  if (snn_network_load(a.request.model, &net, &err) != SNN_OK) return tool_fail(a.request.model, &err);
  if (a.json)
    code = tool_print_json(network_json(net));
  else
    print_network(net, a.request.model);
  snn_network_free(net);
  return code;
}
