#!/bin/sh
# The user stays, as files may be its own. Bytecode that root's runs wrote goes.
set -e
case "$1" in
    remove | purge | 0)
        rm -rf /opt/trtop
        if [ -d /run/systemd/system ]; then
            systemctl daemon-reload
        fi
        ;;
esac
