#!/bin/sh
# Install what a group of targets needs, from Debian's own packages, as root or through sudo. Says nothing and asks
# nothing when everything is there.
#
#   deploy/install-deps.sh GROUP...     groups: build demo test lint package train bench
set -eu

build="gcc libc6-dev make pkg-config libmicrohttpd-dev libjansson-dev libpng-dev nettle-dev libyajl-dev zlib1g-dev
       libarchive-dev libjs-chart.js libcurl4-openssl-dev"
demo="curl jq bsdextrautils"
test="chromium chromium-driver python3-selenium npm
      clang libclang-rt-14-dev libomp-14-dev libcmocka-dev gcovr gnuplot-nox curl jq haproxy openssl xz-utils prometheus zsh
      python3 python3-pytest python3-pytest-xdist python3-jsonschema python3-requests python3-numpy python3-pil python3-onnx python3-torch"
package="buildah debhelper docker-compose dpkg-dev fakeroot help2man jq lintian mmdebstrap nginx-light prometheus systemd"
lint="clang-format clang-tidy cppcheck"
train="python3 python3-torch python3-numpy python3-pil python3-onnx npm"
bench="python3 python3-torch python3-numpy python3-onnx npm"

wanted=
for group in "$@"; do
  case $group in
    build) wanted="$wanted $build" ;;
    demo) wanted="$wanted $demo" ;;
    test) wanted="$wanted $test" ;;
    lint) wanted="$wanted $lint" ;;
    package) wanted="$wanted $package" ;;
    train) wanted="$wanted $train" ;;
    bench) wanted="$wanted $bench" ;;
    *)
      echo "install-deps.sh: no group '$group'; there are: build demo test lint package train bench" >&2
      exit 2
      ;;
  esac
done

command -v dpkg-query >/dev/null 2>&1 || {
  echo "install-deps.sh: this machine has no dpkg; install by hand: $wanted" >&2
  exit 1
}
missing=
for package in $wanted; do
  # npm may come from elsewhere than Debian; what counts is the command.
  [ "$package" = npm ] && command -v npm >/dev/null 2>&1 && continue
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || {
    echo "install-deps.sh: need root or sudo to install:$missing" >&2
    exit 1
  }
  as_root=sudo
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
