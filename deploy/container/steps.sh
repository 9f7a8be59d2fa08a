#!/bin/sh
# Where no Docker is: the steps that the Containerfile runs, in an empty place, and then the
# demo from what they made, by a user who may write nowhere but to its state.
set -eu
cd "$(dirname "$0")/../.."
place=$(mktemp -d /tmp/bridgetender-trial.XXXXXX)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
export PREFIX="$place/bridgetender"
deploy/container/install.sh packages
deploy/container/install.sh ours
install -d -m 700 "$place/state"
as=
if [ "$(id -u)" = 0 ]; then
  chown nobody "$place/state"
  as="setpriv --reuid nobody --clear-groups"
fi
cd "$place/state"
env -i PATH="$PREFIX/bin:/usr/local/bin:/usr/bin:/bin" HOME="$place/state" PYTHONDONTWRITEBYTECODE=1 \
  $as bridgetender demo --once --state-dir "$place/state/demo"
