#!/bin/sh
# What can be tried with a shell alone: a builder may have no Python.
set -eu

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

version=$(cat VERSION)
[ "$(./lanternd/lanternd --version)" = "lanternd $version" ] ||
	fail "lanternd --version"
[ "$(./cli/lantern-cli --version)" = "lantern-cli $version" ] ||
	fail "lantern-cli --version"
grep -q "^version = \"$version\"\$" plugins/http/Cargo.toml ||
	fail "plugins/http/Cargo.toml has another version than VERSION"
# What a nightly brings has no heading yet.
case $version in
*nightly*) ;;
*)
	grep -q "^## \[$version\]" CHANGELOG.md ||
		fail "CHANGELOG.md does not mention $version"
	;;
esac

dir=$(mktemp -d)
daemon=
cleanup() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || :
	rm -rf "$dir"
}
trap cleanup EXIT

./lanternd/lanternd --check-plugins 2>"$dir/log" || {
	cat "$dir/log" >&2
	fail "lanternd --check-plugins"
}

./lanternd/lanternd --socket "$dir/sock" 2>"$dir/log" &
daemon=$!
tries=0
until ./cli/lantern-cli --socket "$dir/sock" ping >/dev/null 2>&1; do
	tries=$((tries + 1))
	[ "$tries" -lt 300 ] || fail "the daemon does not answer"
	sleep 0.1
done
./cli/lantern-cli --socket "$dir/sock" add name=desk lit=true >/dev/null ||
	fail "add"
./cli/lantern-cli --socket "$dir/sock" stop >/dev/null || fail "stop"
wait "$daemon" || fail "the daemon ended with status $?"
daemon=
echo "smoke test passed"
