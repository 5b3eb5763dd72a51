/* What there is to know about server and models, as JSON text: malloc'ed, NULL when out of memory. */
#ifndef SERVER_JSON_INFO_H
#define SERVER_JSON_INFO_H

#include "config.h"
#include "registry.h"

struct server;

/* GET /v1/models/{model}; in_force may be NULL. */
char *json_info_model(const model_entry *entry, const config *c, const calibration *in_force);
char *json_info_models(model_entry *const *entries, size_t n);                   /* GET /v1/models */
char *json_info_status(struct server *s, model_entry *const *entries, size_t n); /* GET /v1/status */
char *json_info_health(const char *state);                                       /* GET /livez, /readyz */
char *json_info_index(void);                                                     /* GET / */
char *json_info_admin_index(void);                                               /* GET / of the admin listener */

enum { SAMPLES_MAX = 64, SAMPLE_NAME_MAX = 68 };

/* The listing of a model's sample pictures. */
char *json_info_samples(char (*names)[SAMPLE_NAME_MAX + 1], size_t n);

#endif
