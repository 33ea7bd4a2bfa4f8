#!/bin/sh
# Generates share/ from the command line of the program: manual pages, and completions for shells.
#
# usage: packaging/derive.sh [PROGRAM]        without PROGRAM, it is built
set -eu

cd "$(dirname "$0")/.."
program=${1-}
if [ -z "$program" ]; then
    # A release has all crates; a clone takes them from cargo's cache.
    if [ -f vendor/config.toml ]; then set -- --config vendor/config.toml --offline; fi
    cargo "$@" build --quiet --locked --target-dir target --package drydock --bin drydock
    program=target/debug/drydock
fi
rm -rf share
mkdir -p share/completions
"$program" man share/man/man1
"$program" completions bash >share/completions/drydock.bash
"$program" completions zsh >share/completions/_drydock
"$program" completions fish >share/completions/drydock.fish
