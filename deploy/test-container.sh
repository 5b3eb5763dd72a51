#!/bin/bash
# Build the container without any engine running (buildah, chroot isolation, vfs storage) on a base image made here, start its entry point, classify
# a picture against it, stop it. Needs root. Everything lies below build/container and is removed at the end but for the base (KEEP=1 keeps it all).
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$PWD/build/container
mkdir -p "$dir"
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
storage=(--root "$dir/storage" --runroot "$dir/run")
daemon=
clean() {
  [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
  [ -n "${KEEP:-}" ] || { buildah "${storage[@]}" rm --all >/dev/null 2>&1; rm -rf "$dir/storage" "$dir/run" "$dir/context"; } || true
}
trap clean EXIT

# The base: a minimal Debian of this machine's own sources, standing in for debian:bookworm-slim.
sources=/etc/apt/sources.list.d/debian.sources
[ -e "$sources" ] || sources=/etc/apt/sources.list
if [ ! -e "$dir/base.tar" ]; then
  echo "making the base image's root"
  mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$dir/base.tar.new" "$sources"
  mv "$dir/base.tar.new" "$dir/base.tar"
fi
base=$(buildah "${storage[@]}" from scratch)
buildah "${storage[@]}" add --quiet "$base" "$dir/base.tar" /
buildah "${storage[@]}" commit --quiet "$base" debian:bookworm-slim >/dev/null
buildah "${storage[@]}" rm "$base" >/dev/null

# What is committed, as a clone would have it.
rm -rf "$dir/context"
mkdir -p "$dir/context"
git ls-files -z | xargs -0 tar -c | tar -x -C "$dir/context"
echo "building the image"
buildah "${storage[@]}" build --quiet --format docker --pull-never --volume /etc/apt/apt.conf.d:/etc/apt/apt.conf.d:ro --ignorefile .containerignore \
  -f deploy/Containerfile -t spiked "$dir/context" >"$dir/build.log" 2>&1 || { tail -n 40 "$dir/build.log" >&2; exit 1; }

unpacked() {
  local c mount
  c=$(buildah "${storage[@]}" from --pull-never "$1")
  mount=$(buildah "${storage[@]}" mount "$c")
  du -sb --apparent-size --exclude="$mount/var/lib/apt" --exclude="$mount/var/cache" --exclude="$mount/var/log" "$mount" | cut -f1
  buildah "${storage[@]}" rm "$c" >/dev/null
}
over=$(($(unpacked spiked) - $(unpacked debian:bookworm-slim)))
echo "image: $((over / 1000000)) MB over the base (unpacked)"
[ "$over" -lt 60000000 ] || { echo "more than 60 MB over the base" >&2; exit 1; }

config=$(buildah "${storage[@]}" inspect --type image spiked | jq -c '.Docker.config')
echo "config: $config"
[ "$(jq -r '.Labels["org.opencontainers.image.version"]' <<<"$config")" = "$(sed -n 's/^VERSION := //p' Makefile)" ]
[ "$(jq -r '.User + " " + .StopSignal + " " + .Healthcheck.Test[-1]' <<<"$config")" = "65532:65532 SIGTERM --healthcheck" ]

container=$(buildah "${storage[@]}" from --pull-never spiked)
root=$(buildah "${storage[@]}" mount "$container")
port=$((20000 + RANDOM % 20000))
touch "$dir/started"
buildah "${storage[@]}" run --isolation chroot --env "SPIKED_LISTEN=127.0.0.1:$port" "$container" -- /usr/bin/spiked >"$dir/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
  curl -fs "http://127.0.0.1:$port/readyz" >/dev/null && break
  kill -0 "$daemon" 2>/dev/null || { cat "$dir/daemon.log" >&2; exit 1; }
  sleep 0.1
done
echo "in the container:"
answer=$(curl -fsS --data-binary @models/lenet-mnist/samples/7.png "http://127.0.0.1:$port/v1/models/lenet-mnist/classify?T=8")
jq -c '{model, timesteps, class: .results[0].class}' <<<"$answer"
[ "$(jq -r '.results[0].class.label' <<<"$answer")" = 7 ]
# The daemon of this container among all that may run here.
pid=
for p in $(pgrep -u 65532 -x spiked); do
  grep -qz "^SPIKED_LISTEN=127.0.0.1:$port$" "/proc/$p/environ" && pid=$p
done
[ -n "$pid" ] || { echo "no spiked of user 65532" >&2; exit 1; }
echo "it runs as user $(stat -c %u "/proc/$pid") with capabilities $(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")"
buildah "${storage[@]}" run --isolation chroot --env "SPIKED_LISTEN=127.0.0.1:$port" "$container" -- /usr/bin/spiked --healthcheck && echo "healthcheck: well"
kill -TERM "$pid"
wait "$daemon"
daemon=
echo "stopped by SIGTERM, exit status 0"
# What buildah itself puts into a container apart, a run leaves no file: the root may be read-only.
written=$(cd "$root" && find . -xdev -newer "$dir/started" -type f ! -path './etc/*' ! -path './run/*' ! -path './dev/*')
[ -z "$written" ] || { echo "written into the root: $written" >&2; exit 1; }
echo "nothing was written into the container's root"
