# Throw-away database servers for the demo, the tests and the benchmarks. To be
# sourced after env.sh.
#
#   start_source DIR [options]   a PostgreSQL cluster in DIR/source; sets SOURCE_URI
#   start_target DIR [options]   a TimescaleDB in DIR/target; sets TARGET_URI, TARGET_KIND
#   stop_servers [--delete]      stops all that this shell has started
#   stop_server SUBDIR [--delete]  stops one, from any shell
#
# Options of both:
#   --database NAME     the database to make and to name in the URI (postgres)
#   --port N            a port of one's own; without it a free one is taken
#   --set NAME=VALUE    a setting of the server; may be repeated
# Of start_source only:
#   --secret-password P a superuser `secretuser` who needs this password (SCRAM);
#                       everybody else is trusted. HYPERSHIFT_SECRET_PASSWORD does
#                       the same and stays out of the process list.
# Of start_target only:
#   --data              the embedded TimescaleDB keeps its data in DIR/target/data
#                       instead of memory
#
# The target is the first of these that there is:
#   given     HYPERSHIFT_TEST_TARGET is the URI of a TimescaleDB: a database of its
#             own is made there, and dropped on --delete
#   native    a local PostgreSQL that has the extension: a cluster of its own
#   embedded  the one in embedded/; HYPERSHIFT_TEST_TARGET=embedded asks for it
#
# Stopped without --delete, a server started again with the same DIR has its data
# and its port again (but not the embedded one without --data). HYPERSHIFT_PG_BINDIR
# names the programs of another PostgreSQL for the source.
#
# A server does not outlive the shell that started it, even when that is killed:
# a guard stops it. KEEP_SERVERS=1 starts servers without a guard.

SERVER_DIRS=()

as_postgres() {
  if ((EUID == 0)); then
    (cd / && runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

# The newest of the system's PostgreSQL installations for which the test COMMAND BINDIR holds.
newest_postgres() {
  local bindir
  while read -r bindir; do
    if "$@" "$bindir"; then
      printf '%s' "$bindir"
      return 0
    fi
  done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV)
  return 1
}

has_server() { [[ -x $1/initdb && -x $1/postgres ]]; }

has_timescaledb() {
  has_server "$1" || return 1
  local version=${1%/bin}
  [[ -f /usr/share/postgresql/${version##*/}/extension/timescaledb.control ]]
}

source_bindir() {
  if [[ -n ${HYPERSHIFT_PG_BINDIR:-} ]]; then
    has_server "$HYPERSHIFT_PG_BINDIR" || die "no initdb and postgres in $HYPERSHIFT_PG_BINDIR"
    printf '%s' "$HYPERSHIFT_PG_BINDIR"
  else
    newest_postgres has_server || die 'no PostgreSQL server in /usr/lib/postgresql; run scripts/setup'
  fi
}

target_kind() {
  case ${HYPERSHIFT_TEST_TARGET:-} in
    embedded) printf embedded ;;
    ?*) printf given ;;
    *) if newest_postgres has_timescaledb >/dev/null; then printf native; else printf embedded; fi ;;
  esac
}

# Below the range from which the kernel takes ports for outgoing connections.
free_port() {
  local port try
  for try in {1..100}; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s' "$port"
      return 0
    fi
  done
  die "no free port found in $try tries"
}

# uri_with_database URI NAME: the same server, another database.
uri_with_database() {
  if [[ $1 =~ ^(postgres(ql)?://[^/?]*)(/[^?]*)?(\?.*)?$ ]]; then
    printf '%s/%s%s' "${BASH_REMATCH[1]}" "$2" "${BASH_REMATCH[4]}"
  else
    printf "%s dbname=%s" "$1" "$2"
  fi
}

sql() {
  local uri=$1
  shift
  psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$uri" "$@"
}

# Reads the options above into OPT_*.
server_options() {
  OPT_DATABASE=postgres OPT_PORT='' OPT_DATA='' OPT_SETTINGS=()
  OPT_SECRET=${HYPERSHIFT_SECRET_PASSWORD:-}
  while (($#)); do
    case $1 in
      --data) OPT_DATA=1 ;;
      --database | --port | --set | --secret-password)
        (($# > 1)) || die "$1 needs a value"
        case $1 in
          --database) OPT_DATABASE=$2 ;;
          --port) OPT_PORT=$2 ;;
          --set) OPT_SETTINGS+=("$2") ;;
          --secret-password) OPT_SECRET=$2 ;;
        esac
        shift
        ;;
      *) die "unknown option of a server: $1" ;;
    esac
    shift
  done
  [[ $OPT_DATABASE =~ ^[a-z_][a-z0-9_]*$ ]] || die "database name '$OPT_DATABASE': a plain one, please"
}

# From here on the server in DIR is this shell's to stop.
adopt_server() {
  local dir=$1 token=$$.$RANDOM$RANDOM
  SERVER_DIRS+=("$dir")
  printf '%s' "$token" >"$dir/running"
  [[ -z ${KEEP_SERVERS:-} ]] || return 0
  setsid "$ROOT/scripts/lib/server-guard" "$dir" "$token" "$$" </dev/null >/dev/null 2>&1 &
  disown
}

# Makes the cluster in DIR unless it is there, and starts it.
start_cluster() {
  local dir=$1 bindir=$2 port=$OPT_PORT setting try
  shift 2
  local data=$dir/cluster/data socket_dir=$dir/cluster
  # A socket's path has 107 bytes at most.
  ((${#socket_dir} < 80)) || socket_dir=/tmp
  if [[ ! -f $data/PG_VERSION ]]; then
    mkdir -p "$dir/cluster"
    if ((EUID == 0)); then
      chown postgres: "$dir/cluster"
      chmod o+x "$dir" "$(dirname "$dir")"
      as_postgres test -x "$dir/cluster" || die "user postgres cannot get into $dir: a folder above it is closed"
    fi
    as_postgres "$bindir/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
      >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; die "initdb failed in $dir"; }
    as_postgres tee "$data/pg_hba.conf" >/dev/null <<'HBA'
local all         secretuser              scram-sha-256
host  all         secretuser 127.0.0.1/32 scram-sha-256
local all         all                     trust
host  all         all        127.0.0.1/32 trust
local replication all                     trust
host  replication all        127.0.0.1/32 trust
HBA
    as_postgres tee -a "$data/postgresql.conf" >/dev/null <<<"include_if_exists 'throw_away.conf'"
  fi
  [[ -n $port || ! -f $dir/port ]] || port=$(<"$dir/port")
  as_postgres tee "$data/throw_away.conf" >/dev/null < <(
    printf "listen_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\n" "$socket_dir"
    printf 'max_connections = 100\n'
    for setting in "$@" "${OPT_SETTINGS[@]}"; do
      # NAME='VALUE', quotes doubled, as the file wants it.
      printf "%s = '%s'\n" "${setting%%=*}" "$(sed "s/'/''/g" <<<"${setting#*=}")"
    done
  )
  for try in 1 2 3 4 5; do
    local chosen=${port:-$(free_port)}
    if as_postgres "$bindir/pg_ctl" start -D "$data" -l "$dir/cluster/log" -w -t 60 -s -o "-p $chosen" \
      </dev/null >/dev/null 2>&1; then
      printf '%s' "$chosen" >"$dir/port"
      return 0
    fi
    [[ -z $port ]] && tail -n 3 "$dir/cluster/log" | grep -q 'could not bind\|could not create any TCP' || break
  done
  tail -n 20 "$dir/cluster/log" >&2
  die "PostgreSQL did not start in $dir (try $try)"
}

make_database() {
  local admin=$1 name=$2
  [[ $(sql "$admin" -c "SELECT 1 FROM pg_database WHERE datname = '$name'") == 1 ]] ||
    sql "$admin" -c "CREATE DATABASE $name"
}

server_dir() {
  mkdir -p "$1"
  local dir
  dir=$(cd "$1" && pwd)/$2
  mkdir -p "$dir"
  [[ -f $dir/running ]] && die "a server was started in $dir before and not stopped"
  printf '%s' "$dir"
}

start_source() {
  local dir bindir
  dir=$(server_dir "$1" source)
  shift
  server_options "$@"
  bindir=$(source_bindir)
  printf '%s' "$bindir" >"$dir/bindir"
  printf postgres >"$dir/kind"
  adopt_server "$dir"
  # Nothing here outlives a power cut, and loading is what takes its time.
  start_cluster "$dir" "$bindir" fsync=off max_wal_size=4GB
  local admin
  admin=postgres://postgres@127.0.0.1:$(<"$dir/port")/postgres
  make_database "$admin" "$OPT_DATABASE"
  if [[ -n $OPT_SECRET ]]; then
    SECRET=$OPT_SECRET sql "$admin" <<'SQL'
\getenv secret SECRET
SELECT 'CREATE ROLE secretuser SUPERUSER LOGIN'
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'secretuser') \gexec
ALTER ROLE secretuser PASSWORD :'secret';
SQL
  fi
  SOURCE_URI=$(uri_with_database "$admin" "$OPT_DATABASE")
}

start_embedded() {
  local dir=$1 port=$OPT_PORT waited=0
  [[ -n $port || ! -f $dir/port ]] || port=$(<"$dir/port")
  local -a arguments=()
  [[ -z $OPT_DATA ]] || arguments=(--data "$dir/data")
  ((${#OPT_SETTINGS[@]} == 0)) ||
    printf 'the embedded TimescaleDB takes no settings; left out: %s\n' "${OPT_SETTINGS[*]}" >&2
  # In a session of its own, so that a Ctrl-C meant for the caller does not end it first.
  setsid "$ROOT/embedded/bin/embedded-timescaledb" --port "${port:-0}" "${arguments[@]}" \
    </dev/null >"$dir/ready" 2>"$dir/log" &
  local pid=$!
  disown
  printf '%s' "$pid" >"$dir/pid"
  until grep -q '^ready ' "$dir/ready"; do
    if ! kill -0 "$pid" 2>/dev/null || ((++waited > 1200)); then
      tail -n 20 "$dir/log" >&2
      die "the embedded TimescaleDB did not start; its log is $dir/log"
    fi
    sleep 0.1
  done
  sed -n 's/^ready .*port=\([0-9]*\).*/\1/p' "$dir/ready" | tr -d '\n' >"$dir/port"
}

# Makes (or finds again) the database in the server that was given, and sets GIVEN_URI.
start_given() {
  local dir=$1 name
  if [[ ! -f $dir/database ]]; then
    printf 'hypershift_%s_%s' "$OPT_DATABASE" "$$$RANDOM" >"$dir/database"
    (umask 077 && printf '%s' "$HYPERSHIFT_TEST_TARGET" >"$dir/admin_uri")
  fi
  name=$(<"$dir/database")
  make_database "$(<"$dir/admin_uri")" "$name"
  GIVEN_URI=$(uri_with_database "$(<"$dir/admin_uri")" "$name")
}

start_target() {
  local dir bindir
  dir=$(server_dir "$1" target)
  shift
  server_options "$@"
  TARGET_KIND=$(target_kind)
  case $TARGET_KIND in
    given)
      printf given >"$dir/kind"
      adopt_server "$dir"
      start_given "$dir"
      TARGET_URI=$GIVEN_URI
      ;;
    native)
      bindir=$(newest_postgres has_timescaledb)
      printf '%s' "$bindir" >"$dir/bindir"
      printf postgres >"$dir/kind"
      adopt_server "$dir"
      start_cluster "$dir" "$bindir" shared_preload_libraries=timescaledb \
        timescaledb.telemetry_level=off max_worker_processes=16 max_wal_size=4GB
      TARGET_URI=postgres://postgres@127.0.0.1:$(<"$dir/port")/postgres
      make_database "$TARGET_URI" "$OPT_DATABASE"
      TARGET_URI=$(uri_with_database "$TARGET_URI" "$OPT_DATABASE")
      ;;
    embedded)
      [[ -x $ROOT/embedded/bin/embedded-timescaledb ]] || die 'embedded/bin/embedded-timescaledb is missing'
      printf embedded >"$dir/kind"
      adopt_server "$dir"
      start_embedded "$dir"
      # It has the one database, under every name.
      TARGET_URI=postgres://postgres@127.0.0.1:$(<"$dir/port")/$OPT_DATABASE
      ;;
  esac
  PGOPTIONS='-c client_min_messages=error' sql "$TARGET_URI" -c 'CREATE EXTENSION IF NOT EXISTS timescaledb'
}

# Ends a process of ours, gently first. A pid that now is another program's is left alone.
end_process() {
  local pid=$1 name=$2 waited=0
  while grep -qz -- "$name" "/proc/$pid/cmdline" 2>/dev/null; do
    if ((waited == 0)); then
      kill -TERM "$pid" 2>/dev/null || true
    elif ((waited == 100)); then
      kill -KILL "$pid" 2>/dev/null || true
    elif ((waited > 150)); then
      return 1
    fi
    waited=$((waited + 1))
    sleep 0.1
  done
}

stop_server() {
  local dir=$1 delete=${2:-} bindir
  [[ -f $dir/kind ]] || return 0
  case $(<"$dir/kind") in
    postgres)
      bindir=$(<"$dir/bindir")
      if [[ -f $dir/cluster/data/postmaster.pid ]]; then
        as_postgres "$bindir/pg_ctl" stop -D "$dir/cluster/data" -m fast -s -w -t 30 >/dev/null 2>&1 ||
          as_postgres "$bindir/pg_ctl" stop -D "$dir/cluster/data" -m immediate -s -w -t 30 >/dev/null 2>&1 || true
      fi
      ;;
    embedded)
      [[ ! -f $dir/pid ]] || end_process "$(<"$dir/pid")" embedded-timescaledb || true
      ;;
    given)
      [[ $delete != --delete || ! -f $dir/database ]] ||
        sql "$(<"$dir/admin_uri")" -c "DROP DATABASE IF EXISTS $(<"$dir/database") WITH (FORCE)" || true
      ;;
  esac
  rm -f "$dir/running" "$dir/pid"
  # Nothing but what server_dir made is ever deleted.
  [[ $delete != --delete || ${dir##*/} != @(source|target) ]] || rm -rf "$dir"
}

stop_servers() {
  local dir
  for dir in "${SERVER_DIRS[@]}"; do
    stop_server "$dir" "${1:-}"
  done
  SERVER_DIRS=()
}
