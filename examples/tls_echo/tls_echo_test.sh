#!/bin/bash
# tls_echo_test.sh RUN_EXAMPLE PROGRAM GOLDEN: makes a certificate, then runs the example with it.
set -euo pipefail

folder=$TEST_TMPDIR
openssl req -x509 -newkey ed25519 -noenc -days 1 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost \
  -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>"$folder/openssl" ||
  { cat "$folder/openssl" >&2; exit 1; }
exec "$1" "$2" "$3" "$folder/certificate.pem" "$folder/key.pem"
