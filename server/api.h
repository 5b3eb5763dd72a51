/* The handlers of the route table; router.h says when each is called. */
#ifndef SERVER_API_H
#define SERVER_API_H

#include "request.h"
#include "server.h"

void api_index(server *s, request *r);
void api_web_file(server *s, request *r);
void api_samples(server *s, request *r);
void api_sample(server *s, request *r);
void api_live(server *s, request *r);
void api_ready(server *s, request *r);
void api_status(server *s, request *r);
void api_models(server *s, request *r);
void api_model(server *s, request *r);

void api_classify_begin(server *s, request *r);
bool api_classify_start(server *s, request *r);
void api_classify_answer(server *s, request *r);

/* For a route's `start`: have work(s, r) done on the chores' thread, where it may block, while the connection rests;
 * `answer` follows unless it sets a problem. Returns what `start` shall: false with r->problem set when too many wait.
 */
bool api_in_background(server *s, request *r, void (*work)(server *s, request *r));
void api_admin_index(server *s, request *r);
void api_calibration_in_force(server *s, request *r);
void api_calibration_choose_begin(server *s, request *r);
void api_calibration_choose(server *s, request *r);
void api_calibrations(server *s, request *r);
void api_calibration(server *s, request *r);

/* The model the path names, a new reference; NULL with r->problem set. */
model_entry *api_find_model(server *s, request *r);

#endif
