# Makes the database in $PGDATA unless it is there, then becomes the server. The user's
# password is a file, as the Secret is mounted; connections from elsewhere must give it.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username=application --pwfile="$PASSWORD_FILE" --auth-local=trust \
    --auth-host=scram-sha-256 --encoding=UTF8 >/dev/null
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp \
  -c shared_buffers=16MB -c max_connections=20
