/* What the admin listener tells and is told about calibrations, as JSON text: malloc'ed, NULL when out of memory. */
#ifndef SERVER_JSON_ADMIN_H
#define SERVER_JSON_ADMIN_H

#include "store.h"

/* GET .../calibration: what is in force, and the latest generation claimed, which is the ETag. `latest` may be NULL. */
char *json_admin_in_force(model_entry *entry, const store_pointer *latest, uint64_t latest_generation);

/* One artifact: `c` NULL when it cannot be used by the network, for the reason. `generations` name it. */
typedef struct artifact_view {
  const store_artifact *artifact;
  const calibration *calibration;
  const char *reason;
  const uint64_t *generations;
  size_t n_generations;
  bool in_force;
} artifact_view;

/* `whole`: with all that is known of how it was made and what it brought. */
char *json_admin_artifact(const artifact_view *view, bool whole);

/* {"<name>": [...]} of JSON texts, each of which may be NULL (left out). */
char *json_admin_list(const char *name, char *const *texts, size_t n);

/* {"id": "..."} or {"id": null}: *id becomes malloc'ed text, or NULL. False with *p set. */
bool json_admin_parse_choice(const char *text, size_t n, char **id, problem *p);

/* [{"neuron": .., "init": .., "timesteps": ..}]; a new reference. */
struct json_t *json_admin_tables(const snn_calibration *c);

#endif
