#!/bin/bash
# State of a calibration job; with "cancel", cancel it first: ./job.sh ID [cancel]. Needs $TOKEN; $ADMIN is the admin listener.
set -euo pipefail
url=${ADMIN:-http://127.0.0.1:8081}/v1/jobs/$1
ask() { curl -sS --fail-with-body -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$@"; }
[ "${2:-}" != cancel ] || ask -X DELETE "$url" >/dev/null
ask "$url" | jq -c '.detail // {state, progress, error, activated: .result.activated}'
