#!/bin/bash
# The calibrations kept for a model, the one in force, and one in full: ./calibrations.sh [MODEL [ID]]. Needs $TOKEN; $ADMIN is the admin listener.
set -euo pipefail
admin=${ADMIN:-http://127.0.0.1:8081}
model=${1:-lenet-mnist}
ask() { curl -sS --fail-with-body -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$@"; }
ask "$admin/v1/models/$model/calibrations" | jq -r '.detail // (.calibrations[] | "\(.id)\tgenerations \(.generations)\t\(if .in_force then "in force" else "" end)")'
ask "$admin/v1/models/$model/calibration" | jq -c '{generation, id, name}'
[ $# -lt 2 ] || ask "$admin/v1/models/$model/calibrations/$2" | jq .
