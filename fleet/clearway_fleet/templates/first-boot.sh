#!/bin/sh
# First start of @GATEWAY@ (@SITE@): puts the settings in place, makes the key on the device, starts
# the gateway. Run as root from the folder that this file lies in; a second run changes nothing.
set -eu
cd "$(dirname "$0")"
root="${CLEARWAY_ROOT:-}"
etc="$root/etc/clearway"
state="$root/var/lib/clearway"
program="$root/opt/clearway/bin/clearway-gateway"

fail() {
    echo "error: $1" >&2
    exit 1
}

[ -x "$program" ] || fail "no gateway is installed in /opt/clearway: see the guide on SD cards"
if [ -e "$etc/gateway.toml" ] && ! cmp -s gateway.toml "$etc/gateway.toml" && [ "${1:-}" != --replace ]; then
    fail "$etc/gateway.toml holds other settings: compare, then run this again with --replace"
fi

id clearway >/dev/null 2>&1 ||
    useradd --system --home-dir /var/lib/clearway --groups dialout --shell /usr/sbin/nologin clearway
install -d -m 0750 -o root -g clearway "$etc"
install -d -m 0700 -o clearway -g clearway "$state"
for file in gateway.toml ca.crt; do
    if [ -e "$file" ]; then install -m 0640 -o root -g clearway "$file" "$etc/$file"; fi
done
runuser -u clearway -- "$program" check --settings "$etc/gateway.toml"
if grep -q '^key_file' "$etc/gateway.toml"; then
    # The private key is made here and never leaves the device; only the request does.
    runuser -u clearway -- "$program" enrol --settings "$etc/gateway.toml"
fi
hostnamectl set-hostname @GATEWAY@
systemctl enable --now clearway-gateway.service
touch "$state/first-boot.done"
