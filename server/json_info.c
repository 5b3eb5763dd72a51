/* Descriptions of the server and its models. Keeps the invariant that a listing of choices comes from the same tables
 * that check them. Does not measure anything. */
#include "json_info.h"

#include <jansson.h>

#include "json_admin.h"
#include "options.h"
#include "router.h"
#include "server.h"

static char *print(json_t *root) {
  char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(root);
  return text;
}

static json_t *real_list(const float *v, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_real((double)v[i]));
  return list;
}

static json_t *input_object(const snn_network *net) {
  snn_shape in = snn_network_input(net);
  const snn_preprocess *pre = snn_network_preprocess(net);
  size_t n_listed = in.c < SNN_MAX_CHANNELS_IN ? in.c : SNN_MAX_CHANNELS_IN; /* a long vector lists no more */
  return json_pack("{s:I, s:I, s:I, s:o, s:o, s:I}", "channels", (json_int_t)in.c, "height", (json_int_t)in.h, "width",
                   (json_int_t)in.w, "mean", real_list(pre->mean, n_listed), "std", real_list(pre->std, n_listed),
                   "background", (json_int_t)pre->background);
}

static json_t *label_list(const snn_network *net) {
  if (!snn_network_label(net, 0)) return json_null();
  json_t *list = json_array();
  for (size_t i = 0; i < snn_network_classes(net); i++)
    json_array_append_new(list, json_string(snn_network_label(net, i)));
  return list;
}

static json_t *layer_list(const snn_network *net, uint64_t *parameters) {
  json_t *list = json_array();
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info layer = snn_network_layer(net, i);
    *parameters += layer.parameters;
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:[I,I,I], s:I, s:I}", "name", layer.name, "kind", snn_layer_kind_name(layer.kind),
                        "shape", (json_int_t)layer.shape.c, (json_int_t)layer.shape.h, (json_int_t)layer.shape.w,
                        "parameters", (json_int_t)layer.parameters, "macs", (json_int_t)layer.macs));
  }
  return list;
}

static json_t *variants_object(void) {
  json_t *o = json_object();
  for (size_t k = 0; k < n_option_choices; k++) {
    json_t *names = json_array();
    for (unsigned i = 0; option_choices[k].value_name(i); i++)
      json_array_append_new(names, json_string(option_choices[k].value_name(i)));
    json_object_set_new(o, option_choices[k].name, names);
  }
  return o;
}

static json_t *defaults_object(const snn_network *net, const option_limits *limits) {
  options o;
  options_init(&o, NULL, net, limits);
  return json_pack("{s:I, s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:s}", "timesteps", (json_int_t)o.run.timesteps, "neuron",
                   snn_neuron_name(o.run.neuron), "init", snn_init_name(o.run.init), "shift", (json_int_t)o.run.shift,
                   "encoding", snn_encoding_name(o.run.encoding), "readout", snn_readout_name(o.run.readout),
                   "precision", snn_precision_name(o.run.precision), "top_k", (json_int_t)o.top_k, "trace",
                   option_trace_name(&o));
}

/* The tables of the model file. */
static json_t *table_list(const snn_network *net) {
  const snn_calibration *c = snn_network_calibration(net);
  json_t *list = json_array();
  for (size_t i = 0; c && i < snn_calibration_tables(c); i++) {
    snn_calibration_table key = snn_calibration_table_at(c, i);
    json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "neuron", snn_neuron_name(key.neuron), "init",
                                          snn_init_name(key.init), "timesteps", (json_int_t)key.timesteps));
  }
  return list;
}

static json_t *limits_object(const config *c) {
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "timesteps", (json_int_t)c->max_timesteps, "operations",
                   (json_int_t)c->max_operations, "images", (json_int_t)IMAGES_MAX, "images_times_timesteps",
                   (json_int_t)WORK_MAX, "body_bytes", (json_int_t)c->max_body, "image_width",
                   (json_int_t)PICTURE_SIDE_MAX, "image_height", (json_int_t)PICTURE_SIDE_MAX, "pixels",
                   (json_int_t)PIXELS_MAX);
}

static json_t *calibration_object(const calibration *c) {
  if (!c) return json_null();
  return json_pack("{s:s, s:s, s:I, s:o}", "name", c->name, "id", c->id, "generation", (json_int_t)c->generation,
                   "tables", json_admin_tables(c->tables));
}

char *json_info_model(const model_entry *entry, const config *c, const calibration *in_force) {
  const snn_network *net = entry->network;
  option_limits limits = {.max_timesteps = (uint32_t)c->max_timesteps};
  uint64_t parameters = 0;
  json_t *layers = layer_list(net, &parameters);
  return print(json_pack("{s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "name", entry->name,
                         "model_version", snn_network_sha256(net), "classes", (json_int_t)snn_network_classes(net),
                         "labels", label_list(net), "input", input_object(net), "neurons",
                         (json_int_t)snn_network_neurons(net), "parameters", (json_int_t)parameters, "macs",
                         (json_int_t)snn_network_macs(net), "layers", layers, "variants", variants_object(), "defaults",
                         defaults_object(net, &limits), "tables", table_list(net), "calibration",
                         calibration_object(in_force), "limits", limits_object(c)));
}

static json_t *summary_object(model_entry *entry) {
  calibration *c = registry_calibration(entry, NULL);
  json_t *in_force = c ? json_string(c->name) : json_null();
  calibration_release(c);
  snn_shape in = snn_network_input(entry->network);
  return json_pack("{s:s, s:s, s:I, s:{s:I, s:I, s:I}, s:I, s:o}", "name", entry->name, "model_version",
                   snn_network_sha256(entry->network), "classes", (json_int_t)snn_network_classes(entry->network),
                   "input", "channels", (json_int_t)in.c, "height", (json_int_t)in.h, "width", (json_int_t)in.w,
                   "neurons", (json_int_t)snn_network_neurons(entry->network), "calibration", in_force);
}

static json_t *summary_list(model_entry *const *entries, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, summary_object(entries[i]));
  return list;
}

char *json_info_models(model_entry *const *entries, size_t n) {
  return print(json_pack("{s:o}", "models", summary_list(entries, n)));
}

/* The generation in force of every model that ever had one. */
static json_t *generations_object(model_entry *const *entries, size_t n) {
  json_t *o = json_object();
  for (size_t i = 0; i < n; i++) {
    uint64_t generation = 0;
    calibration_release(registry_calibration(entries[i], &generation));
    if (generation) json_object_set_new(o, entries[i]->name, json_integer((json_int_t)generation));
  }
  return o;
}

char *json_info_status(server *s, model_entry *const *entries, size_t n) {
  size_t count = 0, bytes = 0;
  ledger_read(&s->ledger, &count, &bytes);
  return print(json_pack("{s:s, s:s, s:f, s:I, s:s, s:s, s:{s:I, s:I, s:I, s:I}, s:I, s:o, s:o}", "version",
                         SPIKED_VERSION, "state", server_state_name(atomic_load(&s->state)), "uptime_s",
                         (double)(snn_clock_ns() - s->started_ns) / 1e9, "threads",
                         (json_int_t)scheduler_threads(s->scheduler), "kernels", snn_kernels_name(), "int8_kernels",
                         snn_int8_kernels_name(), "queue", "depth", (json_int_t)count, "limit",
                         (json_int_t)s->ledger.max_count, "bytes", (json_int_t)bytes, "bytes_limit",
                         (json_int_t)s->ledger.max_bytes, "requests_in_flight", (json_int_t)atomic_load(&s->in_flight),
                         "models", summary_list(entries, n), "calibration", generations_object(entries, n)));
}

char *json_info_health(const char *state) {
  return print(json_pack("{s:s}", "status", state));
}

/* Routes of a listener as "METHOD pattern". */
static json_t *route_list(face f) {
  size_t n = 0;
  const route *table = router_table(f, &n);
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_sprintf("%s %s", table[i].method, table[i].pattern));
  return list;
}

char *json_info_admin_index(void) {
  return print(
      json_pack("{s:s, s:s, s:o}", "server", "spiked admin", "version", SPIKED_VERSION, "api", route_list(FACE_ADMIN)));
}

char *json_info_index(void) {
  return print(
      json_pack("{s:s, s:s, s:o}", "server", "spiked", "version", SPIKED_VERSION, "api", route_list(FACE_PUBLIC)));
}

char *json_info_samples(char (*names)[SAMPLE_NAME_MAX + 1], size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_string(names[i]));
  return print(json_pack("{s:o}", "samples", list));
}
