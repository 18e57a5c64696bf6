#!/bin/sh
# Makes apt use proxies: apt-proxy.sh HTTP_PROXY HTTPS_PROXY NO_PROXY. Each argument may be empty;
# NO_PROXY is a list of host names separated by commas.
set -eu
file=/etc/apt/apt.conf.d/95jepsenvm-proxy
{
  [ -z "$1" ] || printf 'Acquire::http::Proxy "%s";\n' "$1"
  [ -z "$2" ] || printf 'Acquire::https::Proxy "%s";\n' "$2"
  for host in $(printf %s "$3" | tr ',' ' '); do
    printf 'Acquire::http::Proxy::%s "DIRECT";\n' "$host"
    printf 'Acquire::https::Proxy::%s "DIRECT";\n' "$host"
  done
} > "$file"
