#!/bin/bash
# Pictures and requests counted so far, of all that Prometheus would scrape: ./metrics.sh. Needs $TOKEN; $ADMIN is the admin listener.
set -euo pipefail
admin=${ADMIN:-http://127.0.0.1:8081}
curl -sS --fail-with-body -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$admin/metrics" | grep -E '^spiked_(images|requests|build)'
