#!/usr/bin/env bash
# Two clients of the lobby: what one says, both hear; SIGTERM ends it with 0.
set -euo pipefail
"$1" &
server=$!
trap 'kill -KILL "$server" 2>/dev/null || true' EXIT
for _ in $(seq 200); do
  (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null && break
  sleep 0.05
done
exec 3<>/dev/tcp/127.0.0.1/5000 4<>/dev/tcp/127.0.0.1/5000
echo "hello" >&3
read -r -t 10 heard <&3
[[ $heard == "guest: hello" ]]
echo "and good-bye" >&4
for client in 3 4; do
  until read -r -t 10 heard <&"$client" && [[ $heard == "guest: and good-bye" ]]; do :; done
done
kill -TERM "$server"
wait "$server"
trap - EXIT
