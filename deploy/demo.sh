#!/bin/bash
# Start the daemon on a free port with the bundled models, classify ten real digits over HTTP, show the answers, stop it.
#
#   deploy/demo.sh BUILD_FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1 model=lenet-mnist log=$(mktemp)

"$build/spiked" --models models --listen 127.0.0.1:0 2>"$log" &
daemon=$!
trap 'kill $daemon 2>/dev/null || true; wait $daemon 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 100); do
  grep -q ' ready ' "$log" && break
  kill -0 $daemon 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
address=$(sed -n 's/.* listening address=\([^ ]*\).*/\1/p' "$log")
url=http://$address/v1/models/$model/classify

echo "The daemon serves $model on $address. Ten handwritten digits, POST $url?timesteps=16:"
echo
{
  printf 'file\tclass\tprobability\tT\tspikes\tlatency ms\n'
  for picture in models/$model/samples/*.png; do
    curl -sS --fail-with-body -H 'Content-Type: image/png' --data-binary "@$picture" "$url?timesteps=16" |
      jq -r --arg file "${picture##*/}" '[$file, .results[0].class.label,
        (.results[0].class.probability * 10000 | round / 10000), .timesteps, .results[0].spikes.total,
        (.latency_ms.total * 100 | round / 100)] | @tsv'
  done
} | column -t -s "$(printf '\t')"
kill -TERM $daemon
wait $daemon
trap - EXIT
rm -f "$log"
cat <<END

The daemon finished what it had and stopped. Go on with

  make serve
  curl --data-binary @models/$model/samples/7.png -H 'Content-Type: image/png' \\
    'http://127.0.0.1:8080/v1/models/$model/classify?timesteps=8&trace=layers'
END
