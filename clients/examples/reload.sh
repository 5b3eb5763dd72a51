#!/bin/bash
# Serve a model's new file, requests under way finishing on the old one; with "unload", stop serving it: ./reload.sh MODEL [unload].
# Needs $TOKEN; $ADMIN is the admin listener.
set -euo pipefail
admin=${ADMIN:-http://127.0.0.1:8081}
ask() { curl -sS --fail-with-body -X POST -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$@" | jq -c '.detail // .'; }
if [ "${2:-}" = unload ]; then ask "$admin/v1/models/$1/unload"; else ask "$admin/v1/models/$1/load"; fi
