/* The JSON of an inference request, read as a stream: a number of `data` costs four bytes, not a node. */
#ifndef SERVER_JSON_OIP_IN_H
#define SERVER_JSON_OIP_IN_H

#include "oip.h"

/* Parse into inf->oip, inf->options and *tensor. Data goes to the body of `data`, which must be empty and have
 * inf's ledger: numbers as native floats, strings (base64) as the bytes they encode, each one of its pictures. At most
 * max_values numbers. False with inf->problem set. */
bool json_oip_parse(inference *inf, const char *text, size_t n, size_t max_values, oip_tensor *tensor, inference *data);

#endif
