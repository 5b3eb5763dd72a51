#!/bin/bash
# Have a daemon finish what it has and stop, as SIGTERM does: ./drain.sh. Needs $TOKEN; $ADMIN is the admin listener.
set -euo pipefail
admin=${ADMIN:-http://127.0.0.1:8081}
curl -sS --fail-with-body -X POST -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$admin/v1/drain" | jq -c '.detail // .'
