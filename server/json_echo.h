/* The options a request ran with, as every answer tells them. */
#ifndef SERVER_JSON_ECHO_H
#define SERVER_JSON_ECHO_H

#include <jansson.h>

#include "inference.h"

/* Add each option in force to the object `into`. */
void json_echo_options(json_t *into, const inference *inf);

#endif
