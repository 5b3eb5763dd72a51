/* What the Open Inference Protocol answers. Functions that return text: malloc'ed, NULL when out of memory. */
#ifndef SERVER_JSON_OIP_OUT_H
#define SERVER_JSON_OIP_OUT_H

#include "metrics.h"
#include "oip.h"

char *json_oip_server(void);                     /* metadata of the server */
char *json_oip_model(const model_entry *entry);  /* metadata */
char *json_oip_ready(const char *name);          /* of a model that is */
char *json_oip_config(const model_entry *entry); /* as Triton has it */
char *json_oip_statistics(model_entry *const *entries, size_t n);

/* The answer of infer: JSON, then the tensors asked for as binary data. *n_json is 0 when there are none. False when
 * out of memory. */
bool json_oip_answer(const inference *inf, char **body, size_t *n_body, size_t *n_json);

#endif
