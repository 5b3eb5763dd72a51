/* Method and path to handler: one table for each listener. */
#ifndef SERVER_ROUTER_H
#define SERVER_ROUTER_H

#include "request.h"
#include "server.h"

/* A request passes through these in order, on socket threads; a set r->problem skips the rest and is answered. */
typedef struct route {
  const char *method, *pattern;          /* "{model}" stands for one segment, a model's name; one more may stand in
                                            other braces, such as "{file}" */
  void (*begin)(server *s, request *r);  /* NULL allowed: the header is complete, the body has not come */
  bool (*start)(server *s, request *r);  /* NULL allowed: the body is complete; true: workers have r->inference, and
                                            its `done` will be called */
  void (*answer)(server *s, request *r); /* set r->reply or r->problem */
} route;

/* Find r->route for r->face, r->method (HEAD counts as GET) and r->path, and r->model and r->item. Otherwise
 * r->problem is set, and for a wrong method the header Allow is added. */
void router_find(request *r);

/* The table of a listener, for tests and listings; *n rows. */
const route *router_table(face f, size_t *n);

#endif
