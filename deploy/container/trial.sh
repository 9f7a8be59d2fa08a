#!/bin/sh
# A trial of docs/deploy-compose.md: starts a Docker of its own, in a network of its own, follows the page's words
# there, and sees compose.yaml become well, lose its bridge, drain, and come back with what it had.
# Debian's PostgreSQL, Prometheus, Alertmanager and Python stand in for the images that are named; nothing does for Grafana.
# Needs root, mmdebstrap and dockerd; downloads some 400 MB. Elsewhere the build's steps alone are tried.
set -eu
cd "$(dirname "$0")/../.."
steps() { echo "The build's steps alone: $1"; exec deploy/container/steps.sh; }
[ "$(id -u)" = 0 ] || steps "only root may start a Docker"
for program in mmdebstrap dockerd docker unshare; do
  command -v $program >/dev/null || steps "$program is not here (apt install mmdebstrap docker.io)"
done

place=$(mktemp -d /var/tmp/bridgetender-trial.XXXXXX)
trap 'rm -rf "$place"' EXIT
echo "Packages, and a Debian for each image, in $place"
debian() { mmdebstrap --quiet --variant=minbase --include="$2" "${SUITE:-bookworm}" "$place/$1.tar"; }
debian python python3-venv,ca-certificates
debian postgres postgresql
debian prometheus prometheus
debian alertmanager prometheus-alertmanager
# Compose 2 is in no Debian before this one; its program needs nothing else of it.
mmdebstrap --quiet --variant=extract --include=docker-compose trixie "$place/compose"
"${PYTHON:-python3}" -m pip download -q --disable-pip-version-check --require-hashes -r requirements.lock \
  -d "$place/packages"
mkdir "$place/source"
git ls-files -z | tar -c --null -T - | tar -x -C "$place/source"
unshare --net --mount --pid --fork --kill-child --mount-proc deploy/container/trial-inside.sh "$place"
