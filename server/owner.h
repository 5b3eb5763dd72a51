/* Who owns a job: a process, named so that another on the same machine can see whether it lives. */
#ifndef SERVER_OWNER_H
#define SERVER_OWNER_H

#include <stdbool.h>
#include <stddef.h>

typedef enum owner_life { OWNER_ALIVE, OWNER_GONE, OWNER_ELSEWHERE } owner_life;

/* This process: boot, process namespace, process, its start. Parts the system does not tell are empty. */
void owner_self(char *out, size_t n_out);

/* Does the owner live? ELSEWHERE: it is not of this boot and namespace, or says so little that nobody can tell. */
owner_life owner_look(const char *owner);

#endif
