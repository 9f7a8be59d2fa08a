#!/bin/sh
# What trial.sh runs in the machine that it has booted.
set -eu
umask 077 # as root's is in many a house
page=docs/deploy-systemd.md
units="bridgetender-bridge bridgetender"
secrets=/etc/bridgetender/secrets
work=$(mktemp -d)

. deploy/trials.sh
complain() { journalctl -o cat -n 40 $(printf -- ' -u %s' $units); }
of() { systemctl show --value -p "$2" "$1"; }
is() { [ "$(of "$1" "$2")" = "$3" ]; }
told() { journalctl -o cat -u "$1" | grep -q "$2"; }
answers() { [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$1")" = "$2" ]; }
holds() { case $(of bridgetender StatusText) in "holds 1 of 1"*) ;; *) return 1 ;; esac; }
waits() { case $(of bridgetender StatusText) in "Waiting: "*) ;; *) return 1 ;; esac; }
leases() {
  echo "SELECT count(*) FROM bridgetender.leases WHERE expires_at > now()" | su postgres -c "psql -At bridgetender"
}
another() { is "$1" ActiveState active && ! is "$1" MainPID "$2"; }

soon "PostgreSQL runs" su postgres -c "psql -qc 'SELECT' >/dev/null 2>&1"
su postgres -c "psql -q" <<'END'
CREATE ROLE bridgetender LOGIN PASSWORD 'trial';
CREATE DATABASE bridgetender OWNER bridgetender;
END

follow 1 "installed as the page says"
follow 2 "secrets made as it says"
(umask 077 && echo "postgresql://bridgetender:trial@127.0.0.1:5432/bridgetender" > $secrets/database_url)
block 3 > /etc/bridgetender/config.toml
follow 4 "migrated and started as it says"
for unit in $units; do is $unit ActiveState active || fail "$unit is ready"; done
good "both are ready"

soon "the daemon has its database" answers 9464/readyz 200
soon "the daemon reaches the bridge by the credential that both were handed" answers 9464/healthz/bridges 200
answers 8700/connectors 401 || fail "the bridge asks for its token"
good "the bridge asks for its token"
for unit in $units; do
  pid=$(of $unit MainPID)
  [ "$(stat -c %u /proc/"$pid")" != 0 ] || fail "$unit is not root's"
  ! tr '\0' '\n' < /proc/"$pid"/environ | grep -qF "$(cat $secrets/bridge_token)" || fail "$unit has no secret in its environment"
done
good "neither runs as root or has a secret in its environment"

follow 5 "looked at, and a token made, as the page says"
token=$(grep -xE '[A-Za-z0-9_-]{32,}' "$work/told")
opens() { curl -sf -o /dev/null -H "Authorization: Bearer $1" http://127.0.0.1:9465/api/admin/clients; }
opens "$token" || fail "the API opens to it"
! opens "$token"x || fail "and to no other"
good "the API opens to it, and to no other"
bridgetender config check > "$work/told" || { cat "$work/told"; fail "all settings are right, for root too"; }
good "all settings are right, for root too"

pid=$(of bridgetender MainPID)
sed -i '1i log_level = "DEBUG"' /etc/bridgetender/config.toml
systemctl reload bridgetender || fail "the daemon reloads"
soon "the daemon reloads" told bridgetender '"event": *"reloaded"'
is bridgetender MainPID "$pid" || fail "it is the same process after that"

(cd $secrets && echo "$(bridgetender new-key),$(cat encryption_key)" > both && mv both encryption_key)
systemctl restart bridgetender
bridgetender rotate > /dev/null || fail "all is re-encrypted with a new key"
sed -i 's/,.*//' $secrets/encryption_key
systemctl restart bridgetender
soon "with the new encryption key alone the daemon is ready" answers 9464/readyz 200
soon "and holds the bridge" holds

systemctl stop postgresql
systemctl restart bridgetender || fail "the daemon starts without its database"
soon "the daemon says that it waits for its database" waits
is bridgetender ActiveState active || fail "and is up meanwhile"
systemctl start postgresql
soon "and holds the bridge once the database is back" holds

page=docs/alerts.md
sed -i 's/smtp.example.com:587/127.0.0.1:2525/; /smtp_from/a\  smtp_require_tls: false' deploy/prometheus/alertmanager.yml
python3 -u > "$work/mail" <<'END' &
import socketserver

class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 here\r\n")
        within = False
        for line in self.rfile:
            print(line.decode().strip())
            word = line[:4].upper()
            within = (within or word == b"DATA") and line != b".\r\n"
            if not within or word == b"DATA":
                self.wfile.write(b"354 go on\r\n" if within else b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

socketserver.TCPServer(("127.0.0.1", 2525), Mail).serve_forever()
END
follow 1 "the rules say where Grafana is, as the page on alerts says"
block 2 | sed '/^apt/d' > "$work/step"
sh -eu "$work/step" > "$work/told" 2>&1 || { cat "$work/told"; fail "Prometheus and Alertmanager set up as it says"; }
good "Prometheus and Alertmanager set up as it says"
scraped() { curl -s http://127.0.0.1:9090/api/v1/targets | grep -o '"health":"up"' | wc -l | grep -qx 2; }
soon "Prometheus scrapes both" scraped
soon "Prometheus knows the Alertmanager" sh -c 'curl -s http://127.0.0.1:9090/api/v1/alertmanagers | grep -q "\[{\"url\":\"http://127.0.0.1:9093"'
curl -s http://127.0.0.1:9090/api/v1/rules | grep -q '"dashboard_url":"https://grafana' || fail "Prometheus has the rules"
follow 5 "a trial alert sent as it says"
soon "somebody is woken by mail" grep -q 'Subject: .*Trial' "$work/mail"
grep -q '^To: oncall@' "$work/mail" || fail "who is to be woken is"

for unit in $units; do
  mkdir "/etc/systemd/system/$unit.service.d"
  printf '[Service]\nWatchdogSec=3\n' > "/etc/systemd/system/$unit.service.d/trial.conf"
done
systemctl daemon-reload
systemctl restart $units || fail "both start anew"
for unit in $units; do
  pid=$(of $unit MainPID)
  kill -STOP "$pid"
  soon "$unit, frozen, is killed and started again" another $unit "$pid"
  told $unit "Watchdog timeout" || fail "by its watchdog"
done
soon "both are well again" answers 9464/healthz/bridges 200

soon "the daemon holds the bridge again" holds
[ "$(leases)" = 1 ] || fail "the daemon has a lease"
systemctl stop $units || fail "both stop"
for unit in $units; do
  is $unit Result success && is $unit ExecMainStatus 0 || fail "$unit drains and ends well"
done
[ "$(leases)" = 0 ] || fail "the daemon gives its lease back"
good "both drain and end well, and the daemon gives its lease back"

for unit in $units; do
  exposure=$(systemd-analyze security --no-pager $unit | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
  awk "BEGIN { exit !(\"$exposure\" != \"\" && $exposure <= 1.5) }" || fail "$unit's exposure is $exposure"
  good "$unit's exposure is $exposure"
done
mistakes=$(systemd-analyze verify --man=no /etc/systemd/system/bridgetender*.service 2>&1)
[ -z "$mistakes" ] || fail "the units have mistakes: $mistakes"
good "the units are free of mistakes"
