/* Tests run more threads than there are cores, on purpose. Threads that spin at barriers then keep the others from
 * working: minutes instead of seconds. OpenMP reads its waiting policy before main, so the program starts itself again
 * with the patient one. */
#ifndef TESTS_UNIT_PATIENCE_H
#define TESTS_UNIT_PATIENCE_H

#include <stdlib.h>
#include <unistd.h>

static inline void wait_patiently(char **argv) {
  if (getenv("OMP_WAIT_POLICY") || setenv("OMP_WAIT_POLICY", "passive", 1) != 0) return;
  execv("/proc/self/exe", argv); /* on failure the tests are slow, nothing worse */
}

#endif
