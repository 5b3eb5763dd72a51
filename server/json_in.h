/* JSON request bodies into native structs: scanned, parsed, checked, and gone before this returns. */
#ifndef SERVER_JSON_IN_H
#define SERVER_JSON_IN_H

#include "inference.h"

/* {"images": ["<base64 PNG>", ...], option: value, ...}: sets the options and replaces the body by the decoded PNGs.
 * False with inf->problem set. */
bool json_in_classify(inference *inf);

/* {"margin": a number, "patience": an integer} and nothing else: true with *out set. */
bool json_in_rule(const char *text, option_rule *out);

/* {option: value, ...}: the multipart part `options`. False with *p set. */
bool json_in_options(const char *text, size_t n, options *o, const option_limits *limits, problem *p);

#endif
