#!/bin/sh
# Has apt go through proxies: apt-proxy.sh HTTP_PROXY HTTPS_PROXY NO_PROXY; each may be empty.
set -eu
file=/etc/apt/apt.conf.d/95jepsenvm-proxy
{
  [ -z "$1" ] || printf 'Acquire::http::Proxy "%s";\n' "$1"
  [ -z "$2" ] || printf 'Acquire::https::Proxy "%s";\n' "$2"
  for host in $(printf %s "$3" | tr ',' ' '); do
    printf 'Acquire::http::Proxy::%s "DIRECT";\nAcquire::https::Proxy::%s "DIRECT";\n' "$host" "$host"
  done
} > "$file"
