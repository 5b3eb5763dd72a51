/* Calibrations on the admin listener. Keeps the invariant that an artifact that cannot be used is still listed, with
 * the reason. Reads no files. */
#include "json_admin.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "json_in.h"
#include "json_scan.h"

static char *print(json_t *root) {
  char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(root);
  return text;
}

json_t *json_admin_tables(const snn_calibration *c) {
  json_t *list = json_array();
  for (size_t i = 0; i < snn_calibration_tables(c); i++) {
    snn_calibration_table t = snn_calibration_table_at(c, i);
    json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "neuron", snn_neuron_name(t.neuron), "init",
                                          snn_init_name(t.init), "timesteps", (json_int_t)t.timesteps));
  }
  return list;
}

char *json_admin_in_force(model_entry *entry, const store_pointer *latest, uint64_t latest_generation) {
  uint64_t generation = 0;
  calibration *c = registry_calibration(entry, &generation);
  json_t *o = json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:I}", "model", entry->name, "model_version",
                        snn_network_sha256(entry->network), "generation", (json_int_t)generation, "id",
                        c ? json_string(c->id) : json_null(), "name", c ? json_string(c->name) : json_null(), "tables",
                        c ? json_admin_tables(c->tables) : json_array(), "latest", (json_int_t)latest_generation);
  if (latest) json_object_update_new(o, json_pack("{s:s, s:s}", "by", latest->by, "at", latest->at));
  calibration_release(c);
  return print(o);
}

static json_t *artifact_object(const artifact_view *v) {
  json_t *generations = json_array();
  for (size_t i = 0; i < v->n_generations; i++)
    json_array_append_new(generations, json_integer((json_int_t)v->generations[i]));
  json_t *o = json_pack("{s:s, s:I, s:b, s:b, s:o}", "id", v->artifact->id, "bytes", (json_int_t)v->artifact->n_bytes,
                        "in_force", v->in_force, "usable", v->calibration != NULL, "generations", generations);
  if (!v->calibration) {
    json_object_set_new(o, "reason", json_string(v->reason));
    return o;
  }
  json_object_set_new(o, "tables", json_admin_tables(v->calibration->tables));
  return o;
}

char *json_admin_artifact(const artifact_view *view, bool whole) {
  json_t *o = artifact_object(view);
  if (whole && view->calibration)
    json_object_set_new(o, "made", json_loads(snn_calibration_provenance(view->calibration->tables), 0, NULL));
  return print(o);
}

char *json_admin_list(const char *name, char *const *texts, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++)
    if (texts[i]) json_array_append_new(list, json_loads(texts[i], 0, NULL));
  return print(json_pack("{s:o}", name, list));
}

bool json_admin_parse_choice(const char *text, size_t n, char **id, problem *p) {
  json_t *root = json_scan(text, n, 4, 64) == JSON_SCAN_OK ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
  const json_t *value = json_object_get(root, "id");
  bool ok = false;
  *id = NULL;
  if (!json_is_object(root)) {
    problem_set(p, PROBLEM_BAD_REQUEST, "body: expected a JSON object such as {\"id\": \"91c2...\"} or {\"id\": null}");
  } else if (json_object_size(root) != 1 || !(json_is_string(value) || json_is_null(value))) {
    problem_set(p, PROBLEM_BAD_REQUEST, "id: expected this member, and no other, as a calibration's id or null");
  } else if (json_is_string(value) && !(*id = strdup(json_string_value(value)))) {
    problem_set(p, PROBLEM_BUSY, "out of memory; try again");
  } else {
    ok = true;
  }
  json_decref(root);
  return ok;
}
