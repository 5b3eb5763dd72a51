#!/bin/bash
# Is it well, is it ready, how busy is it? Exit status 0 when it is ready.
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
curl -fsS "$url/v1/status" | jq -c '{version, state, threads, kernels, queue}'
curl -fsS -o /dev/null "$url/livez"
curl -fsS -o /dev/null "$url/readyz"
