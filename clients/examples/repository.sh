#!/bin/bash
# Models on the admin listener, by Triton's names: ./repository.sh [load|unload MODEL]. Needs $TOKEN; $ADMIN is the admin listener.
set -euo pipefail
admin=${ADMIN:-http://127.0.0.1:8081}
ask() { curl -sS --fail-with-body -X POST -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$@"; }
case ${1:-} in
  load) ask "$admin/v2/repository/models/$2/load" ;;
  unload) ask "$admin/v2/repository/models/$2/unload" ;;
esac
ask "$admin/v2/repository/index" | jq -r '.[] | "\(.name)\t\(.state)\t\(.reason // "")"'
