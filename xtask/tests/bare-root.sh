#!/usr/bin/env bash
# Runs both commands of the README in a bare Debian root, which proves that `--install` installs everything.
#
# The root has apt, git, CA certificates, gcc and libc6-dev (what README.md asks for), and Rust; nothing else of this
# machine is in it. It becomes the root of a mount namespace, because a process in a plain chroot may not create user
# namespaces.
# What is tested is a clone of HEAD, so changes that are not committed are not.
#
# usage: xtask/tests/bare-root.sh [OPTION…] [-- COMMAND…]
#
#   --suite NAME   the release of Debian; the default is bookworm
#   --rust KIND    rustup: the toolchain of this machine, mounted (the default); debian: the packages of the suite
#   --user         run as an unprivileged user with passwordless sudo, as on hosted runners; the default is root
#   --root DIR     keep the root in this directory and use it again; the default is a temporary one
#   COMMAND        runs instead of the two commands, in the clone
#
# It needs root, mmdebstrap and about 12 GB. The exit code is that of the first command that fails.
set -eu

die() { echo "bare-root: $*" >&2; exit 2; }

suite=bookworm rust=rustup user=root kept=
while [ $# -gt 0 ]; do
    case $1 in
        --suite) suite=${2:?}; shift 2 ;;
        --rust) rust=${2:?}; shift 2 ;;
        --user) user=tester; shift ;;
        --root) kept=$(realpath -m "${2:?}"); shift 2 ;;
        --) shift; break ;;
        *) die "unknown option $1; the first lines of $0 list the options" ;;
    esac
done
[ "$(id -u)" = 0 ] || die "it needs root, to mount; run it with sudo"
command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
source=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)

packages=git,ca-certificates,gcc,libc6-dev
[ "$user" = root ] || packages=$packages,sudo
case $rust in
    rustup) toolchain=$(cd "$source" && rustc --print sysroot) ;;
    debian) packages=$packages,cargo,rustc,rustfmt,rust-clippy toolchain= ;;
    *) die "--rust is rustup or debian" ;;
esac

if [ -n "$kept" ]; then
    root=$kept
else
    root=$(mktemp --directory /var/tmp/drydock-bare-root-XXXXXX)
    trap 'rm -rf --one-file-system "$root"' EXIT
fi
if [ ! -e "$root/usr/bin/git" ]; then
    echo "== root: $suite with $packages"

    mmdebstrap --quiet --variant=apt --include="$packages" "$suite" "$root"
    # This machine may reach the network through a proxy with an authority of its own. pip and npm have lists of their own.
    for certificate in /usr/local/share/ca-certificates/*.crt; do
        [ -e "$certificate" ] || continue
        install -D -m 0644 -t "$root/usr/local/share/ca-certificates" "$certificate"
        printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$root/etc/pip.conf"
        echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >"$root/etc/npmrc"
    done
    chroot "$root" update-ca-certificates >/dev/null 2>&1
    [ "$user" = root ] || {
        chroot "$root" useradd --create-home --shell /bin/bash --uid 1000 tester
        echo 'tester ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/tester"
    }
fi
# The names of this machine, since programs look up their own host.
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"

chmod 0755 "$root"
rm -rf "$root/new" && mkdir -p "$root/new" "$root/opt/rust" "$root/work"
git clone --quiet --no-hardlinks --no-local "$source" "$root/new/drydock"
if [ -d "$root/work/drydock/target" ]; then mv "$root/work/drydock/target" "$root/new/drydock/target"; fi
rm -rf "$root/work/drydock" && mv "$root/new/drydock" "$root/work/drydock" && rmdir "$root/new"
chroot "$root" chown -R "$user:" /work/drydock

cat >"$root/work/run" <<'INSIDE'
#!/bin/bash
# Runs the commands in the clone, and says how long each took.
cd /work/drydock
[ $# = 0 ] || exec "$@"
for command in demo check; do
    echo "== cargo xtask $command --install"
    started=$SECONDS
    cargo xtask $command --install
    code=$?
    echo "== cargo xtask $command: exit $code, $((SECONDS - started)) s"
    [ $code = 0 ] || exit $code
done
INSIDE
chmod 0755 "$root/work/run"

cat >"$root/work/enter" <<'OUTSIDE'
#!/bin/bash
# Runs in namespaces of its own: makes the root the root, with the file systems of a freshly booted machine.
set -eu
root=$1 toolchain=$2 user=$3
shift 3
mount --bind "$root" "$root"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mkdir -m 1777 "$root/run/lock"
[ -z "$toolchain" ] || mount --bind -o ro "$toolchain" "$root/opt/rust"
home=$(chroot "$root" getent passwd "$user" | cut -d: -f6)
path=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
set -- env -i PATH="$path" HOME="$home" USER="$user" LANG=C.UTF-8 CI=true /work/run "$@"
[ "$user" = root ] || set -- setpriv --reuid "$user" --regid "$user" --init-groups "$@"
# As an initramfs does it: now this is the root of the namespace, without a trace of the old one. pivot_root would need
# an umount in the new root, which has none.
cd "$root"
mount --move . /
exec chroot . "$@"
OUTSIDE

status=0
unshare --mount --propagation private --pid --fork --kill-child \
    bash "$root/work/enter" "$root" "$toolchain" "$user" "$@" </dev/null || status=$?
exit $status
