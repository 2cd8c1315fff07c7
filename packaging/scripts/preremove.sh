#!/bin/sh
# Stops the service at a removal (deb: remove, rpm: 0), not at an upgrade.
set -e
case "$1" in
    remove | 0)
        if [ -d /run/systemd/system ]; then
            systemctl disable --now trtopd.service
        fi
        ;;
esac
