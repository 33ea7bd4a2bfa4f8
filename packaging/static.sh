#!/bin/sh
# Builds the program as one static executable, and installs it with its manual pages, completions and schemas.
#
# usage: packaging/static.sh DESTDIR [ARCHIVE.tar.xz]
#
# It works in an unpacked source release, where nothing is downloaded, and in a clone. The files depend on the sources and on
# the versions of rustc, gcc and xz, but not on the directory, the user, the clock or the machine: with the same versions,
# everybody gets the same bytes. The versions are printed. Needed are Rust with the target of musl, and musl-gcc:
#
#     rustup target add x86_64-unknown-linux-musl && apt-get install musl-tools
#
# DRYDOCK_STATIC_TARGET names another target, such as aarch64-unknown-linux-musl.
set -eu

die() { echo "static.sh: $*" >&2; exit 2; }

[ $# = 1 ] || [ $# = 2 ] || die "usage: packaging/static.sh DESTDIR [ARCHIVE.tar.xz]"
umask 022
mkdir -p "$1"
[ -z "$(ls -A "$1")" ] || die "$1 is not empty"
destination=$(cd "$1" && pwd -P)
archive=${2:+$(cd "$(dirname "$2")" && pwd -P)/$(basename "$2")}
cd "$(dirname "$0")/.."
sources=$(pwd -P)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
target=${DRYDOCK_STATIC_TARGET:-x86_64-unknown-linux-musl}
machine=${target%%-*}

[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || die "Rust has no $target; run \`rustup target add $target\`"
# Rust brings what it links with musl, and calls the ordinary gcc for it; musl-gcc would link another libc's start files.
if [ "$machine" = "$(uname -m)" ]; then linker=gcc; else linker=$machine-linux-gnu-gcc; fi
case $target in
    *-musl) package=musl-tools compiler=musl-gcc; [ "$linker" = gcc ] || compiler=$machine-linux-musl-gcc ;;
    *) package=gcc compiler=$linker ;;
esac
command -v "$compiler" >/dev/null || die "$compiler is missing; run \`apt-get install $package\`"

# An unpacked release has all crates, and files with the time of the commit.
if [ -f vendor/config.toml ]; then
    set -- --config vendor/config.toml --offline
    epoch=${SOURCE_DATE_EPOCH:-$(stat -c %Y Cargo.toml)}
else
    set --
    epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
fi

# No directory of this machine may be seen in the program. The last prefix that fits counts, so a directory below the other
# comes after it. A directory may contain blanks, so flags of rustc are separated by a character of their own.
separator=$(printf '\037')
rust="-Ctarget-feature=+crt-static$separator-Clinker=$linker"
c=
case $cargo_home in
    "$sources"/*) first=$sources=/usr/src/drydock second=$cargo_home=/cargo ;;
    *) first=$cargo_home=/cargo second=$sources=/usr/src/drydock ;;
esac
for pair in "$first" "$second"; do
    rust="$rust$separator--remap-path-prefix=$pair"
    c="$c '-ffile-prefix-map=$pair'"
done

# The environment is empty but for this: what the user has set for builds has no say.
named=$(echo "$target" | tr - _)
env -i PATH="$PATH" HOME="$HOME" LC_ALL=C.UTF-8 TZ=UTC \
    CARGO_HOME="$cargo_home" ${RUSTUP_HOME:+RUSTUP_HOME="$RUSTUP_HOME"} ${RUSTUP_TOOLCHAIN:+RUSTUP_TOOLCHAIN="$RUSTUP_TOOLCHAIN"} \
    ${HTTPS_PROXY:+HTTPS_PROXY="$HTTPS_PROXY"} ${CARGO_BUILD_JOBS:+CARGO_BUILD_JOBS="$CARGO_BUILD_JOBS"} \
    SOURCE_DATE_EPOCH="$epoch" DRYDOCK_BUILT_IN=/usr/src/drydock/xtask \
    CARGO_ENCODED_RUSTFLAGS="$rust" "CC_$named=$compiler" "CFLAGS_$named=$c" CC_SHELL_ESCAPED_FLAGS=1 \
    cargo "$@" build --locked --profile dist --target "$target" --target-dir "$sources/target" --package drydock --bin drydock

# copy PATTERN DIRECTORY: copies files of the sources, if there are some.
copy() {
    for file in $1; do
        [ ! -f "$file" ] || install -D -m 644 "$file" "$destination/$2/$(basename "$file")"
    done
}
install -D -m 755 "target/$target/dist/drydock" "$destination/bin/drydock"
# A clone has no derived files.
if [ ! -d share/man ] && [ -x packaging/derive.sh ] && [ "$machine" = "$(uname -m)" ]; then
    packaging/derive.sh "$destination/bin/drydock"
fi
copy "share/man/man1/*.1" share/man/man1
copy share/completions/drydock.bash share/bash-completion/completions
copy share/completions/_drydock share/zsh/site-functions
copy share/completions/drydock.fish share/fish/vendor_completions.d
copy "xtask/schema/*.json" share/drydock/schema
copy "LICENSE CHANGELOG.md" share/doc/drydock

{
    echo "target: $target, epoch: $epoch"
    rustc --version
    "$compiler" --version | head -n 1
} >&2
[ -n "$archive" ] || exit 0
xz --version | head -n 1 >&2
tar --create --directory "$destination" --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mtime="@$epoch" \
    bin share | XZ_DEFAULTS= XZ_OPT= xz --compress -6 --threads=1 >"$archive.new"
mv "$archive.new" "$archive"
