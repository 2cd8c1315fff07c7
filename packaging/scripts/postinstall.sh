#!/bin/sh
# Makes the user that trtopd.service runs as. The service is not started: who captures says so
# (systemctl enable --now trtopd).
set -e
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers /usr/lib/sysusers.d/trtop.conf
elif ! getent passwd trtop >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir / \
        --shell /usr/sbin/nologin --comment 'TCP Remote Top' trtop
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart trtopd.service
fi
