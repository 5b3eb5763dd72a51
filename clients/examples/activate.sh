#!/bin/bash
# Put a calibration in force on every replica, an older one to roll back, or null for the model's own: ./activate.sh MODEL ID|null.
# If-Match says which generation that was decided upon: 412 when somebody else was faster. Needs $TOKEN; $ADMIN is the admin listener.
set -euo pipefail
url=${ADMIN:-http://127.0.0.1:8081}/v1/models/$1/calibration
ask() { curl -sS --fail-with-body -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$@"; }
tag=$(ask -o /dev/null -D - "$url" | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p')
jq -n --arg id "$2" '{id: (if $id == "null" then null else $id end)}' |
  ask -X PUT -H "If-Match: $tag" -H 'Content-Type: application/json' --data-binary @- "$url" | jq -c '.detail // {generation, id, name}'
