/* Pictures on their way into a job: the parts of a multipart body, spooled to the state folder as they come, then
 * sorted out: which pictures there are, what each is called, which class it is.
 *
 * One owner at a time, without a lock: the socket thread while bytes come, the chores' thread that sorts them out, the
 * job that reads them. */
#ifndef SERVER_UPLOAD_H
#define SERVER_UPLOAD_H

#include "digest.h"
#include "problem.h"
#include "snn/network.h"
#include "spool.h"

enum {
  UPLOAD_PICTURES_MAX = 10000,
  UPLOAD_NAME_MAX = 255,          /* bytes of one picture's name, folders included */
  UPLOAD_OPTIONS_MAX = 16 * 1024, /* bytes of the part `options` */
  UPLOAD_LABELS_MAX = 2 << 20     /* bytes of the part `labels` */
};

typedef struct upload_picture {
  uint64_t offset; /* in the spool */
  size_t n_bytes;
  size_t name;   /* offset in upload.names */
  int32_t label; /* -1: unknown */
} upload_picture;

typedef struct upload_text {
  char *bytes; /* owned, terminated; NULL: the part did not come */
  size_t n;
} upload_text;

typedef struct upload {
  spool spool;
  char folder[4256]; /* where spools are made */
  upload_picture *pictures;
  size_t n_pictures, pictures_capacity;
  char *names; /* owned; terminated, one after the other */
  size_t n_names, names_capacity;
  upload_text options, labels;
  bool has_archive;
  bool only_digest; /* nothing is kept: the request was seen before, is it the same? */
  enum { PART_NONE, PART_IMAGE, PART_ARCHIVE, PART_LABELS, PART_OPTIONS } part;
  digest digest; /* over names and contents of all parts */
} upload;

/* False with *p set: the folder cannot be written. `budget` is borrowed. */
bool upload_begin(upload *u, const char *folder, spool_budget *budget, bool only_digest, problem *p);
void upload_end(upload *u);

/* For body_sink. A part's bytes follow its beginning. */
bool upload_part(upload *u, const char *name, const char *file_name, problem *p);
bool upload_write(upload *u, const void *bytes, size_t n, problem *p);

/* Once the body is complete: unpack the archive, give every picture its label. False with *p set. */
bool upload_sort_out(upload *u, const snn_network *net, problem *p);

/* Append a picture that begins at the spool's present end. False with *p set: too many, or a name that is none. */
bool upload_add_picture(upload *u, const char *name, problem *p);

const char *upload_name(const upload *u, size_t picture);

/* SHA-256 over all that came. */
void upload_digest(upload *u, char out[DIGEST_HEX]);

/* ---- Parsers, for upload.c and the fuzzers ---------------------------------------------------------------------- */

/* Unpack the tar, plain or gzip, in `from` to the pictures of u, whose spool is another. False with *p set: no tar; or
 * one with links, devices, absolute paths or "..", which is refused whole. */
bool archive_unpack(upload *u, const spool *from, uint64_t max_bytes, problem *p);

/* The CSV `text`, lines of file,label: set the labels of u's pictures. False with *p set: a file that is not there or
 * is named twice, a label the network does not have. */
bool labels_apply(upload *u, const char *text, size_t n, const snn_network *net, problem *p);

/* The class a text means: a label of the network, else a number below its classes; -1: none. */
int32_t labels_find(const snn_network *net, const char *text);

#endif
