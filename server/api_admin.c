/* Handlers of the admin listener that only tell. */
#include "api.h"
#include "json_info.h"

void api_admin_index(server *s, request *r) {
  (void)s;
  reply_json(r, 200, json_info_admin_index());
}
