/* Filling snn_error. Every helper keeps the rule "first error wins": a struct that already holds one is left alone. */
#ifndef SNN_BASE_ERROR_H
#define SNN_BASE_ERROR_H

#include "snn/status.h"

/* Record `status` with the name of the thing at fault (may be NULL) and a printf-formatted sentence; returns `status`,
 * so that `return snn_fail(err, SNN_ERR_FORMAT, name, "...")` reads well. err may be NULL. Control characters
 * and bytes that are not UTF-8 become '?'. */
snn_status snn_fail(snn_error *err, snn_status status, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* SNN_ERR_IO with strerror(errno_value) appended. */
snn_status snn_fail_errno(snn_error *err, const char *where, const char *what, int errno_value);

/* SNN_ERR_NO_MEMORY, saying what it was for. */
snn_status snn_fail_memory(snn_error *err, const char *what);

#if defined(__clang_analyzer__) && !defined(SNN_BASE_ERROR_C) /* tell the analyser that a failure is never SNN_OK */
#define snn_fail(...)        (snn_fail(__VA_ARGS__), SNN_ERR_INTERNAL)
#define snn_fail_errno(...)  (snn_fail_errno(__VA_ARGS__), SNN_ERR_INTERNAL)
#define snn_fail_memory(...) (snn_fail_memory(__VA_ARGS__), SNN_ERR_INTERNAL)
#endif

#endif
