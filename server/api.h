/* The handlers of the route table; router.h says when each is called. */
#ifndef SERVER_API_H
#define SERVER_API_H

#include "json_out.h"
#include "request.h"
#include "server.h"

void api_options(server *s, request *r);
void api_index(server *s, request *r);
void api_web_file(server *s, request *r);
void api_console_file(server *s, request *r);
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

/* Open Inference Protocol; {version} may be in the path. */
void api_oip_server(server *s, request *r);
void api_oip_model(server *s, request *r);
void api_oip_model_ready(server *s, request *r);
void api_oip_config(server *s, request *r);
void api_oip_statistics(server *s, request *r);
void api_oip_all_statistics(server *s, request *r);
void api_oip_infer_begin(server *s, request *r);
void api_oip_infer_answer(server *s, request *r);

/* Of the admin listener. */
void api_admin_index(server *s, request *r);
void api_metrics(server *s, request *r);
void api_drain(server *s, request *r);
void api_repository_begin(server *s, request *r);
bool api_repository_index_start(server *s, request *r);
bool api_repository_load_start(server *s, request *r);
bool api_repository_unload_start(server *s, request *r);
void api_repository_answer(server *s, request *r);

/* Options of the query into r->inference; false is told by r->problem. */
void api_take_query_options(server *s, request *r);

/* For a route's `begin`: the entry while the queue has room; else it is released and NULL, with r->problem set. A
 * refusal by the header alone, before anything is allocated for the request, costs the least. */
model_entry *api_admit_to(server *s, request *r, model_entry *entry);

/* The body is whole: take a place in the queue and hand r->inference to the workers. False with r->problem set. */
bool api_submit(server *s, request *r);

/* Pack the body when the client accepts that and it is worth it. */
void api_shrink_reply(request *r);

/* The header Server-Timing. */
void api_add_timing(request *r, const latency *ms);

/* For a route's `start`: have work(s, r) done on the chores' thread, where it may block, while the connection rests;
 * `answer` follows unless it sets a problem. Returns what `start` shall: false with r->problem set when too many wait.
 */
bool api_in_background(server *s, request *r, void (*work)(server *s, request *r));
void api_calibration_in_force(server *s, request *r);
void api_calibration_choose_begin(server *s, request *r);
void api_calibration_choose(server *s, request *r);
void api_job_begin(server *s, request *r);
bool api_job_start(server *s, request *r);
void api_job_answer(server *s, request *r);
void api_job(server *s, request *r);
void api_job_cancel(server *s, request *r);
void api_calibrations(server *s, request *r);
void api_calibration(server *s, request *r);

/* The model the path names, a new reference; NULL with r->problem set. */
model_entry *api_find_model(server *s, request *r);

#endif
