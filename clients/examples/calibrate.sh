#!/bin/bash
# Calibrate a served model with your own pictures and watch it: ./calibrate.sh FOLDER [MODEL] [T,T,...]
# FOLDER holds one sub-folder of PNGs a class, named like the model's labels. Needs $TOKEN, the admin token; $ADMIN is the
# admin listener (default http://127.0.0.1:8081). METHOD=data and the like choose another method than matched.
set -euo pipefail
admin=${ADMIN:-http://127.0.0.1:8081} folder=$1 model=${2:-lenet-mnist} timesteps=${3:-8,16,32}
ask() { curl -sS --fail-with-body -H "Authorization: Bearer ${TOKEN:?set TOKEN to the admin token}" "$@"; }

answer=$(tar -C "$folder" -cf - . | ask -F 'archive=@-;filename=pictures.tar' \
  -F "options={\"method\": \"${METHOD:-matched}\", \"timesteps\": [$timesteps]}" \
  "$admin/v1/models/$model/calibrations") || { jq -r .detail <<<"$answer" >&2; exit 1; }
job=$(jq -r .id <<<"$answer")
trap 'ask -X DELETE "$admin/v1/jobs/$job" >/dev/null; exit 130' INT
while state=$(ask "$admin/v1/jobs/$job") && [[ $(jq -r .state <<<"$state") =~ ^(queued|running)$ ]]; do
  read -r permille phase < <(jq -r '"\(.progress.done) \(.progress.phase)"' <<<"$state")
  bar=$(printf '%*s' $((permille / 25)) '')
  [ -t 2 ] && printf '\r[%-40s] %3d %% %-12s' "${bar// /#}" $((permille / 10)) "$phase" >&2
  sleep 0.5
done
[ -t 2 ] && printf '\r[%s] 100 %% %-12s\n' '########################################' "$(jq -r .state <<<"$state")" >&2
jq -r 'if .state != "succeeded" then "\(.id) \(.state): \(.error)\n" | halt_error(1) else .result |
  (.timesteps[] | "T = \(.timesteps)\tagreement \(.before.agreement) -> \(.after.agreement) %" +
    (if .after.accuracy then "\taccuracy \(.before.accuracy) -> \(.after.accuracy) %" else "" end)),
  (if .activated then "generation \(.generation) is in force: \(.calibration)" else "not activated: \(.reason)" end) end' <<<"$state"
