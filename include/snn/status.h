/* Status codes and error text of libsnn.
 *
 * Every function of the library that can fail returns an snn_status and takes an optional, caller-owned snn_error that
 * is filled on the first failure. The library never prints and never exits. */
#ifndef SNN_STATUS_H
#define SNN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum snn_status {
  SNN_OK = 0,
  SNN_ERR_ARGUMENT,    /* a caller's value is of the wrong kind or out of range; `where` names the option or argument */
  SNN_ERR_NO_MEMORY,   /* an allocation failed */
  SNN_ERR_IO,          /* the operating system refused to open, read or write; `text` ends in its reason */
  SNN_ERR_FORMAT,      /* bytes from outside are malformed: truncated, inconsistent, not of the expected kind */
  SNN_ERR_UNSUPPORTED, /* well formed, but asks for something this library does not do */
  SNN_ERR_TOO_LARGE,   /* over a stated limit */
  SNN_ERR_NOT_FOUND,   /* the named thing does not exist */
  SNN_ERR_CANCELLED,   /* the caller's cancellation flag was raised */
  SNN_ERR_DEADLINE,    /* the caller's deadline has passed */
  SNN_ERR_INTERNAL,    /* a bug of ours */
  SNN_STATUS_COUNT
} snn_status;

/* What went wrong. `where` is the name of the option, node, tensor or file at fault (never a full path), "" when there
 * is none; `text` is one sentence without a final newline. Both are always terminated. */
typedef struct snn_error {
  snn_status status;
  char where[96];
  char text[320];
} snn_error;

/* A short constant name ("argument", "format", ...) of a status. Never NULL; static lifetime. */
const char *snn_status_name(snn_status status);

#ifdef __cplusplus
}
#endif
#endif
