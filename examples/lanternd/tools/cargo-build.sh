#!/bin/sh
# Builds the Rust plugin so that neither the directory it is built in nor the
# directory of the crates can be seen in the binary.
#
#   cargo-build.sh MANIFEST-DIR        (the environment: CARGO, CARGO_VENDOR, and
#                                       what cargo itself reads, such as CARGO_HOME)
set -eu

root=$(pwd -P)
cargo_home=${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}
CARGO_TARGET_DIR=$root/$1/target
export CARGO_TARGET_DIR

# Flags are separated by the unit separator, as a path may hold a blank.
us=$(printf '\037')
if [ -z "${CARGO_ENCODED_RUSTFLAGS+set}" ]; then
	CARGO_ENCODED_RUSTFLAGS=$(printf '%s' "${RUSTFLAGS-}" | tr -s ' ' '\037')
fi
CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS:+$CARGO_ENCODED_RUSTFLAGS$us}--remap-path-prefix=$cargo_home=/cargo${us}--remap-path-prefix=$root=.
export CARGO_ENCODED_RUSTFLAGS

# A release ships the crates: then no network is asked. A Debian package has a
# directory of them that it names, and says so in cargo's own configuration.
if [ -n "${CARGO_VENDOR-}" ]; then
	set -- "$1" --offline
elif [ -d "$root/$1/vendor" ]; then
	set -- "$1" --offline \
		--config 'source.crates-io.replace-with="vendored"' \
		--config "source.vendored.directory=\"$root/$1/vendor\""
fi
manifest=$1/Cargo.toml
shift
exec "${CARGO:-cargo}" build --quiet --release --locked \
	--manifest-path "$manifest" "$@"
