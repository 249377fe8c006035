#!/bin/sh
# Starts the proxy with the passwords of the environment, and with TLS if there is a certificate in /tls.
set -eu
umask 027
: "${DASHBOARD_PASSWORD:?}"
printf 'admin:{PLAIN}%s\n' "$DASHBOARD_PASSWORD" > /tmp/passwords
if [ -n "${DASHBOARD_VIEWER_PASSWORD:-}" ]; then
    printf 'viewer:{PLAIN}%s\n' "$DASHBOARD_VIEWER_PASSWORD" >> /tmp/passwords
fi
if [ -f /tls/server.crt ]; then
    printf 'listen 8443 ssl;\nssl_certificate /tls/server.crt;\nssl_certificate_key /tls/server.key;\n' > /tmp/listen.conf
else
    echo 'listen 8443;' > /tmp/listen.conf
fi
[ "$(id -u)" != 0 ] || chown -R nginx /tmp/passwords
exec nginx -c /etc/hpo/nginx.conf -g 'daemon off; user nginx;'
