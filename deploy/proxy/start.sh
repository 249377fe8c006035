#!/bin/sh
# Starts the proxy with the passwords of the environment, and with TLS if there is a certificate in /tls.
set -eu
umask 027

refuse() {
    echo "error: $1" >&2
    exit 2
}

user() {
    case $2 in
        *:*) refuse "the dashboard's password of $1 has a colon in it, and only what is before it would count" ;;
    esac
    printf '%s:{PLAIN}%s\n' "$1" "$2" >> /tmp/passwords
}

: > /tmp/passwords
user admin "${DASHBOARD_PASSWORD:?}"
[ -z "${DASHBOARD_VIEWER_PASSWORD:-}" ] || user viewer "$DASHBOARD_VIEWER_PASSWORD"

if [ -f /tls/server.crt ]; then
    printf 'listen 8443 ssl;\nssl_certificate /tls/server.crt;\nssl_certificate_key /tls/server.key;\n' > /tmp/listen.conf
else
    case ${DASHBOARD_ADDRESS:-127.0.0.1} in
        127.*) echo 'listen 8443;' > /tmp/listen.conf ;;
        *) refuse "DASHBOARD_ADDRESS=$DASHBOARD_ADDRESS without server.crt in DASHBOARD_TLS: passwords would travel in the clear" ;;
    esac
fi
[ "$(id -u)" != 0 ] || chown nginx /tmp/passwords
exec nginx -c /etc/hpo/nginx.conf -g 'daemon off; user nginx;'
