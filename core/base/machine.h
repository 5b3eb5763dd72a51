/* What the machine lets this process use, in parts that a test can look at. */
#ifndef SNN_BASE_MACHINE_H
#define SNN_BASE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the largest cache that a core has to itself; where the system does not say, what most have. */
size_t snn_core_cache(void);

/* CPUs that control groups grant: the tightest quota, rounded up, from the process's own group up to the root, in both
 * cgroup versions; 0 when none sets a limit. `root` is where they are mounted (/sys/fs/cgroup), `groups` the file that
 * names the process's own (/proc/self/cgroup). */
uint32_t snn_cgroup_cpus(const char *root, const char *groups);

#endif
