#!/bin/sh
# Installs a deb on a bare Debian 12 and uses it there: check_deb.sh DEB [ROOTFS.tar]
# As root, with mmdebstrap (or a root file system that has python3).
set -eu
deb=$(realpath "$1")
here=$(realpath "$(dirname "$0")/..")
root=$(mktemp -d "$here/build/deb-XXXXXX")
trap 'umount "$root/dev" "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$root"' EXIT

chmod 755 "$root"
if [ $# -gt 1 ]; then
    tar -C "$root" -xf "$2" --exclude='./dev/*'
else
    mmdebstrap --quiet --variant=minbase --include=python3 bookworm - | tar -C "$root" -x --exclude='./dev/*'
fi
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
cp "$deb" "$root/trtop.deb"
in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 chroot "$root" "$@"; }
fail() { echo "check_deb: $*" >&2; exit 1; }

in_root sh -c '! command -v cc gcc' >/dev/null || fail 'there is a compiler'
in_root dpkg --install /trtop.deb
in_root getent passwd trtop | grep -q ':TCP Remote Top:/.*nologin$' || fail 'no user trtop'
in_root getent group trtop >/dev/null || fail 'no group trtop'
in_root test -e /usr/lib/systemd/system/trtopd.service || fail 'no unit'
in_root trtop /usr/share/doc/trtop/examples/services.pcap --format table --width 80 | grep REFUSED ||
    fail 'the example does not show'
in_root trtopd --version
in_root trtopd --config /etc/trtop/trtopd.toml --interface lo --check || fail 'the settings are not accepted'

in_root dpkg --remove trtop
for path in /opt/trtop /usr/bin/trtop /usr/lib/systemd/system/trtopd.service; do
    if in_root test -e "$path"; then fail "$path is left"; fi
done
in_root test -e /etc/trtop/trtopd.toml || fail 'the settings went with the package'
in_root dpkg --purge trtop
echo "check_deb: $(basename "$deb"): installed, used and removed on Debian $(cat "$root/etc/debian_version")"
