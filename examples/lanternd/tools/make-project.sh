#!/bin/sh
# Turns this directory into a git project of its own:
#
#   tools/make-project.sh DIR
#
#   DIR/tinyhash.git-source    a repository with the submodule's one commit
#   DIR/lanternd               a repository with this directory and that submodule,
#                              with one commit and the annotated tag vVERSION
#
# The commits are the same whoever runs this, wherever and whenever. With
# LANTERN_SIGN_KEY set, the tag is signed with that GnuPG key.
set -eu

die() {
	echo "make-project.sh: $*" >&2
	exit 1
}

[ $# -eq 1 ] || die "expected one argument: the directory to fill"
[ -n "$1" ] || die "the directory's name is empty"
example=$(cd "$(dirname "$0")/.." && pwd -P)
if [ -e "$1" ]; then
	[ -d "$1" ] || die "$1 is no directory"
	[ -z "$(ls -A "$1")" ] || die "$1 is not empty; name a new or an empty directory"
fi
umask 022
mkdir -p "$1"
dir=$(cd "$1" && pwd -P)
# The copy must not meet itself.
case $dir/ in
"$example"/*) rmdir "$dir"; die "$1 lies within $example" ;;
esac

# Nothing of the user's, and nothing of a repository around us.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY \
	GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_NAMESPACE \
	GIT_TEMPLATE_DIR GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_CONFIG \
	GIT_DEFAULT_HASH
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_ATTR_NOSYSTEM=1
export LC_ALL=C TZ=UTC
export GIT_AUTHOR_NAME='The lanternd authors'
export GIT_AUTHOR_EMAIL='lanternd@example.org'
export GIT_AUTHOR_DATE='2026-06-01T12:00:00+00:00'
export GIT_COMMITTER_NAME="$GIT_AUTHOR_NAME"
export GIT_COMMITTER_EMAIL="$GIT_AUTHOR_EMAIL"
export GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"

# git OPTIONS that the user might otherwise have set, or a newer git changes.
run_git() {
	git -c init.defaultBranch=main -c core.autocrlf=false \
		-c core.excludesFile=/dev/null -c core.hooksPath=/dev/null \
		-c protocol.file.allow=always -c gc.auto=0 \
		-c commit.gpgSign=false "$@"
}

new_repository() {
	run_git init --quiet --template= "$1"
	run_git -C "$1" config core.filemode true
}

commit_all() {
	run_git -C "$1" add --all
	run_git -C "$1" commit --quiet --no-verify --message "$2"
}

# The modes that git knows are 644 and 755; a tarball may bring others.
copy_files() {
	(
		cd "$1"
		while IFS= read -r file; do
			mkdir -p "$2/$(dirname "$file")"
			cp "$file" "$2/$file"
			if [ -x "$file" ]; then
				chmod 755 "$2/$file"
			else
				chmod 644 "$2/$file"
			fi
		done
	)
}

# What .gitignore leaves over, whether we are in a work tree or not: an empty
# repository elsewhere looks at the directory through the directory's .gitignore.
list_files() {
	run_git --git-dir="$scratch/.git" --work-tree="$1" -C "$1" \
		-c core.quotePath=false ls-files --others --exclude-standard
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
new_repository "$scratch"

version=$(cat "$example/VERSION")
library=$dir/tinyhash.git-source
project=$dir/lanternd

new_repository "$library"
list_files "$example/external/tinyhash" |
	copy_files "$example/external/tinyhash" "$library"
commit_all "$library" 'tinyhash: SipHash-2-4 and a hash map'

new_repository "$project"
list_files "$example" | grep -v '^external/tinyhash/' |
	copy_files "$example" "$project"
run_git -C "$project" submodule --quiet add \
	../tinyhash.git-source external/tinyhash 2>/dev/null ||
	run_git -C "$project" submodule add "$library" external/tinyhash
# The path in .gitmodules has to be the same wherever DIR is.
run_git -C "$project" config --file .gitmodules \
	submodule.external/tinyhash.url ../tinyhash.git-source
commit_all "$project" "lanternd $version"

if [ -n "${LANTERN_SIGN_KEY-}" ]; then
	run_git -C "$project" tag -s -u "$LANTERN_SIGN_KEY" \
		-m "lanternd $version" "v$version"
else
	run_git -c tag.gpgSign=false -C "$project" tag -a \
		-m "lanternd $version" "v$version"
fi
echo "$project: v$version is $(run_git -C "$project" rev-parse HEAD)"
