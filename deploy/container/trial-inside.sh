#!/bin/sh
# What trial.sh runs in the network that it has made; its argument is the folder of what was downloaded.
set -eu
place=$1
cd "$place/source"
page=docs/deploy-compose.md
work=$(mktemp -d -p "$place")
. deploy/trials.sh
export DOCKER_HOST="unix://$place/docker.sock" DOCKER_BUILDKIT=0 COMPOSE_FILE="$place/source/deploy/compose.yaml"
export PATH="$work/bin:$PATH"
complain() { docker compose ps -a; docker compose logs --tail 20 daemon bridge migrate postgres; tail -n 5 "$place/docker.log"; }

# The page says `docker`; here that builds on what stands in, and starts all but Grafana.
mkdir "$work/bin"
cat > "$work/bin/docker" <<END
#!/bin/sh
docker=$(command -v docker) compose=$place/compose/usr/bin/docker-compose
case \$1 in
build) shift; exec \$docker build --network host --build-arg PYTHON=stand-in/python "\$@" ;;
compose) shift; case " \$* " in *" up -d ") set -- "\$@" --scale grafana=0 ;; esac; exec \$compose "\$@" ;;
*) exec \$docker "\$@" ;;
esac
END
chmod 755 "$work/bin/docker"

ip link set lo up
dockerd --host "$DOCKER_HOST" --data-root "$place/docker" --exec-root "$work/exec" --pidfile "$work/pid" \
  --default-ulimit "nofile=$(ulimit -Hn)" > "$place/docker.log" 2>&1 &
runs() { docker info > /dev/null 2>&1; }
soon "a Docker runs" runs
(cd "$place/packages" && exec python3 -m http.server -b 127.0.0.1 8999 > /dev/null 2>&1) &

mkdir "$work/context"
stand_in() { # what, the image's name; a Dockerfile's rest from standard input
  docker import "$place/$1.tar" "stand-in/$1" > /dev/null
  { echo "FROM stand-in/$1"; cat; } | docker build -q -t "$2" -f - "$work/context" > /dev/null 2>&1
}
named() { sed -n "s|^ *image: \($1:.*\)|\1|p" deploy/compose.yaml; }
stand_in python stand-in/python <<'END'
ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=http://127.0.0.1:8999/
END
stand_in prometheus "$(named docker.io/prom/prometheus)" <<'END'
RUN mkdir /prometheus && chown nobody /prometheus
USER nobody
ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
END
stand_in alertmanager "$(named docker.io/prom/alertmanager)" <<'END'
RUN mkdir /alertmanager && chown nobody /alertmanager
USER nobody
ENTRYPOINT ["prometheus-alertmanager", "--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"]
END
cat > "$work/context/postgres.sh" <<'END'
set -eu
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  initdb -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" -A scram-sha-256 --auth-local=trust
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single postgres
fi
exec postgres -h 0.0.0.0 -k /tmp
END
stand_in postgres "$(named docker.io/library/postgres)" <<'END'
RUN mv /usr/lib/postgresql/* /usr/lib/postgresql/here
ENV PATH=/usr/lib/postgresql/here/bin:/usr/sbin:/usr/bin PGDATA=/var/lib/postgresql/here PGHOST=/tmp
COPY postgres.sh /
RUN install -d -o postgres -m 700 $PGDATA
VOLUME /var/lib/postgresql
USER postgres
ENTRYPOINT ["sh", "/postgres.sh"]
END
docker tag stand-in/python "$(named docker.io/grafana/grafana)" # which isn't started
good "Debian's programs stand in"

image=$(named bridgetender)
files() { docker run --rm "$image" sh -c 'cd /opt/bridgetender && find . -type f | sort | xargs -d "\n" sha256sum' > "$work/$1"; }
follow 1 "built as the page says"
files first
block 1 | sed 's/docker build/& --no-cache/' > "$work/again"
sh -eu "$work/again" > "$work/told" 2>&1 || fail "built again"
files second
cmp "$work/first" "$work/second" || fail "built again, it is the same, file by file"
good "built again, it is the same, file by file"
[ "$(docker run --rm "$image" id -u)" = 10001 ] || fail "it isn't root's"
! docker run --rm --read-only "$image" python -m pip --version 2> /dev/null || fail "nothing in it installs"

follow 2 "secrets made, and all of it started, as the page says"
health() { [ "$(docker inspect -f '{{.State.Health.Status}}' "bridgetender-$1-1")" = "$2" ]; }
ended() { [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "bridgetender-$1-1")" = "exited 0" ]; }
ask() { docker compose exec -T daemon "$@"; }
asks() { python3 -c "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], headers=dict(h.split(': ') for h in sys.argv[2:]))).read().decode())" "$@"; }
admin() { asks "http://127.0.0.1:9465/api/admin/$1" "Authorization: Bearer $(cat deploy/secrets/first_token)"; }
scraped() { asks http://127.0.0.1:9090/api/v1/targets | grep -o '"health":"up"' | wc -l | grep -qx 2; }
well() { ask bridgetender status > "$work/status" 2>&1; }
ended migrate || fail "the tables were made"
for service in postgres bridge daemon; do soon "$service is well" health $service healthy; done
soon "the daemon holds the bridge" well
soon "Prometheus scrapes both" scraped
asks http://127.0.0.1:9090/api/v1/rules | grep -q '"health":"ok"' || fail "Prometheus knows the rules"
told() { asks http://127.0.0.1:9090/api/v1/alertmanagers | grep -q 'alertmanager:9093'; }
soon "it has found Alertmanager" told
asks http://127.0.0.1:9093/-/healthy > /dev/null || fail "Alertmanager is well"
asks http://127.0.0.1:9464/readyz > /dev/null || fail "the runbook's curl reaches the daemon"
asks http://127.0.0.1:9465/console > /dev/null || fail "the console is there"
ask bridgetender clients add trial > /dev/null || fail "a client is added"
admin clients | grep -q '"trial"' || fail "the first token opens the API"
good "a client was added, and the first token reads of it"
! ask touch /opt/bridgetender/x 2> /dev/null || fail "its files can't be changed"
for service in bridge daemon; do
  ! docker inspect "bridgetender-$service-1" | grep -qF "$(cat deploy/secrets/bridge_token)" || fail "$service has no secret in its environment"
done
good "nothing can be changed from within, and no environment has a secret"

docker compose stop bridge 2> /dev/null
up() { asks "http://127.0.0.1:9090/api/v1/query?query=bridgetender_bridge_up" | grep -q "\"$1\"\]"; }
soon "Prometheus says that the bridge is away" up 0
docker compose start bridge 2> /dev/null
soon "the bridge is back" up 1

page=docs/backup.md
done_so() { sh -eu "$work/step" > "$work/told" 2>&1 || { cat "$work/told"; fail "$1"; }; good "$1"; }
block 1 | sed -n "/^docker/s|/safe|$work|p" > "$work/step"
done_so "backed up as the page says"
ask bridgetender clients delete trial --yes > /dev/null || fail "a client is deleted"
block 5 | sed "s|FILE|$(echo "$work"/*.dump)|" > "$work/step"
done_so "restored as it says"
soon "the daemon is well again" health daemon healthy
admin clients | grep -q '"trial"' || fail "what was in the backup is there"
ask bridgetender status | grep -q "restored" || fail "and all is paused"
ask bridgetender resume --all > /dev/null || fail "the pause is over"
good "what was in the backup is there, and all was paused"

page=docs/upgrade.md
docker tag "$image" bridgetender:new
sed -i "s/image: $image/image: bridgetender:new/" deploy/compose.yaml
sed -i 's|http://localhost:3000|https://grafana.example.com|' deploy/prometheus/rules.yml
runs_new() { docker inspect -f '{{.Config.Image}}' "bridgetender-$1-1" | grep -qx bridgetender:new; }
block 2 | sed '/up -d  /,$d' > "$work/step"
done_so "the daemon upgraded as the page says"
soon "the new one is well" health daemon healthy
runs_new daemon || fail "it is a new one"
id() { docker inspect -f '{{.Id}}' bridgetender-daemon-1; }
daemon=$(id)
! runs_new bridge || fail "the bridge is left alone"
block 2 | sed '/up -d  /,$!d; s/ grafana / /' > "$work/step"
done_so "and then the rest"
runs_new bridge || fail "the bridge is a new one"
[ "$(id)" = "$daemon" ] || fail "the daemon is left alone"
ruled() { asks http://127.0.0.1:9090/api/v1/rules | grep -q '"dashboard_url":"https://grafana'; }
soon "Prometheus has the new rules" ruled
soon "the daemon holds the bridge again" well

docker compose stop 2> /dev/null
for service in daemon bridge; do ended $service || fail "$service drains and ends well"; done
good "all drain and end well"
docker compose up -d > "$work/told" 2>&1 || fail "started again"
soon "the daemon is well again" health daemon healthy
admin clients | grep -q '"trial"' || fail "what was stored is there"
good "started again, what was stored is there"
docker compose down -v 2> /dev/null
