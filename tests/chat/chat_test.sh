#!/usr/bin/env bash
# chat_test.py against the server that is given.
exec python3 "$(dirname "$0")/chat_test.py" "$1"
