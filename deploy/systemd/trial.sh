#!/bin/sh
# A trial of docs/deploy-systemd.md and docs/alerts.md: boots a small Debian in a container of systemd's own, follows
# their words there, and sees both services become ready, reload, be killed by their watchdog, and drain, and somebody
# be told.
# Needs root, mmdebstrap and systemd-nspawn; downloads some 200 MB. SUITE names another Debian: its Python and
# that of $PYTHON, which downloads the packages, must be of one version.
set -eu
cd "$(dirname "$0")/../.."
skip() { echo "Skipped: $1"; exit 0; }
[ "$(id -u)" = 0 ] || skip "only root may boot a container"
for program in mmdebstrap systemd-nspawn; do
  command -v $program >/dev/null || skip "$program is not here (apt install mmdebstrap systemd-container)"
done

place=$(mktemp -d /var/tmp/bridgetender-trial.XXXXXX)
trap 'rm -rf "$place"' EXIT
root=$place/root
echo "A Debian with PostgreSQL, in $root"
mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,python3-venv,postgresql,curl,prometheus,prometheus-alertmanager \
  "${SUITE:-bookworm}" "$root"
mkdir "$root/srv/bridgetender" "$root/srv/packages"
git ls-files -z | tar -c --null -T - | tar -x -C "$root/srv/bridgetender"
"${PYTHON:-python3}" -m pip download -q --disable-pip-version-check --require-hashes -r requirements.lock \
  -d "$root/srv/packages"

cat > "$root/etc/systemd/system/trial.service" <<END
[Service]
Type=exec
Environment=PIP_NO_INDEX=1 PIP_FIND_LINKS=/srv/packages HOME=/root
ExecStart=/bin/sh deploy/systemd/trial-inside.sh
ExecStopPost=/bin/sh -c 'systemctl --no-block exit \$EXIT_STATUS'
WorkingDirectory=/srv/bridgetender
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
END
ln -s ../trial.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -s /dev/null "$root/etc/systemd/system/console-getty.service" # it would hang up on us
echo "Booting it"
systemd-nspawn --quiet --register=no --keep-unit --private-network --console=read-only -D "$root" \
  --boot systemd.show_status=no
