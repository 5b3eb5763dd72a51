#!/bin/bash
# The Open Inference Protocol, as Triton's and KServe's clients see it: what is there, is it ready, what has it done. ./oip.sh [MODEL]
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
model=${1:-lenet-mnist}
curl -fsS "$url/v2" | jq -c '{name, version, extensions}'
curl -fsS "$url/v2/health/live" >/dev/null
curl -fsS "$url/v2/health/ready" >/dev/null
curl -fsS "$url/v2/models/$model" | jq -c '{versions, inputs, outputs}'
version=$(curl -fsS "$url/v2/models/$model" | jq -r '.versions[0]')
curl -fsS -o /dev/null "$url/v2/models/$model/ready"
curl -fsS -o /dev/null "$url/v2/models/$model/versions/$version/ready"
curl -fsS "$url/v2/models/$model/config" | jq -c '{max_batch_size, output: [.output[].name]}'
curl -fsS "$url/v2/models/$model/stats" | jq -c '.model_stats[0] | {inference_count, execution_count}'
curl -fsS "$url/v2/models/stats" | jq -c '[.model_stats[].name]'
