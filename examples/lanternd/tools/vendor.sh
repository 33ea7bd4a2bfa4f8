#!/bin/sh
# Unpacks the crates that a lock file names, so that a build needs no network:
#
#   vendor.sh MANIFEST-DIR        fills MANIFEST-DIR/vendor
#
# Not `cargo vendor`, whose output depends on the version of cargo. Here the
# files are those of the published crates, which the lock file has the sums of.
set -eu
LC_ALL=C
export LC_ALL

die() {
	echo "vendor.sh: $*" >&2
	exit 1
}

[ $# -eq 1 ] || die "expected one argument: the directory with Cargo.toml"
vendor=$1/vendor
cargo_home=${CARGO_HOME:-${HOME:?}/.cargo}
# Brings what is not there yet.
"${CARGO:-cargo}" fetch --quiet --locked --manifest-path "$1/Cargo.toml"

rm -rf "$vendor"
mkdir -p "$vendor"
awk '
	$1 == "name" { name = $3 }
	$1 == "version" { version = $3 }
	$1 == "checksum" { print name, version, $3 }
' "$1/Cargo.lock" | tr -d '"' | while read -r name version sum; do
	crate=
	for file in "$cargo_home"/registry/cache/*/"$name-$version.crate"; do
		if [ "$(sha256sum <"$file" | cut -c1-64)" = "$sum" ]; then
			crate=$file
			break
		fi
	done
	[ -n "$crate" ] || die "no $name-$version.crate with the sum of the lock file in $cargo_home"
	tar -x -z --no-same-owner --no-same-permissions -C "$vendor" -f "$crate"
	# cargo checks listed files only; the sum of the crate has to be the lock file's.
	printf '{"files":{},"package":"%s"}\n' "$sum" >"$vendor/$name-$version/.cargo-checksum.json"
done
