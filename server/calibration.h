/* A calibration as the daemon holds it: the artifact's bytes, its tables, what it is called. Immutable and
 * reference-counted: requests hold the one they began with, however often another comes in force meanwhile. */
#ifndef SERVER_CALIBRATION_H
#define SERVER_CALIBRATION_H

#include <stdatomic.h>
#include <stdint.h>

#include "digest.h"
#include "run_memo.h"
#include "snn/calibrate.h"

enum {
  ARTIFACT_BYTES_MAX = 256 << 20,
  CALIBRATION_NAME_MAX = 48,
  CALIBRATION_SHORT_ID = 12 /* digits of an id that a name shows */
};

typedef struct calibration {
  char id[DIGEST_HEX]; /* SHA-256 of the artifact */
  uint64_t generation; /* that put it in force; 0: it is not in force, a request named it */
  uint8_t *bytes;      /* owned; the whole artifact, to which the tables refer */
  size_t n_bytes;
  snn_calibration *tables;
  char name[CALIBRATION_NAME_MAX]; /* "7-91c2d03b5e6f", as answers tell it; without "7-" when not in force */
  run_memo memo;
  atomic_size_t holders;
} calibration;

/* Read FOLDER/<id>.safetensors into our own memory, check its digest, and that it is one of this network. Errors: those
 * of snn_calibration_load; FORMAT also when the bytes are not those that the id names. */
snn_status calibration_load(const char *folder, const char *id, const snn_network *net, calibration **out,
                            snn_error *err);

/* Name it by the generation that puts it in force; nobody else may hold it yet. */
void calibration_enter_force(calibration *c, uint64_t generation);

/* Does a client's text name it: its id, the first digits of it (8 and more), or a name such as "7-91c2d03b5e6f"? False
 * for NULL. */
bool calibration_is_called(const calibration *c, const char *text);

/* The digits of such a text; NULL when it cannot be one. */
const char *calibration_digits(const char *text);

calibration *calibration_hold(calibration *c); /* NULL gives NULL */
void calibration_release(calibration *c);      /* NULL is allowed */

#endif
