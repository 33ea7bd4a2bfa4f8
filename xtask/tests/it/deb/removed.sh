# Puts every name that dpkg-source and dh_clean have in their lists into a crate, lets both work on the package, and prints what
# each removed.
mkdir -p words-1.0/debian/source
cd words-1.0
printf 'Source: words\nMaintainer: A Tester <tester@example.org>\nBuild-Depends: debhelper-compat (= 13)\n\nPackage: words\nArchitecture: all\nDescription: x\n' >debian/control
printf 'words (1.0) unstable; urgency=medium\n\n  * First.\n\n -- A Tester <tester@example.org>  Mon, 01 Jun 2026 12:00:00 +0000\n' >debian/changelog
printf '#!/usr/bin/make -f\n%%:\n\tdh $@\n' >debian/rules
chmod +x debian/rules
echo '3.0 (native)' >debian/source/format
{
    # shellcheck disable=SC2016
    perl -MDpkg::Source::Package -e 'print "$_\n" for Dpkg::Source::Package::get_default_tar_ignore_pattern()'
    perl -ne 'while (/-name\s+\\?\x27?([^\x27\s\\]+)\x27?/g) { print "$1\n" }' "$(command -v dh_clean)"
    printf '%s\n' Cargo.toml.orig .x.rej '#x#' .x.bak TAGS tags target build .cargo-ok .github .pc core a.out x-stamp x.substvars x.debhelper.log x.pyc __pycache__
} | sed -e 's,^.*/,,' -e 's/\[#~\]/#/' -e 's/?/p/g' -e 's/\*/x/g' | sort -u >../names
grep -q '^DEADJOE$' ../names && grep -q '^TAGS$' ../names
crate=vendor/c-1.0
mkdir -p $crate/.deps $crate/src/.deps
while read -r name; do
    mkdir -p "$crate/src" "$crate/in/$name"
    [ -d "$crate/src/$name" ] || echo 1 >"$crate/src/$name"
    echo 1 >"$crate/in/$name/inside.rs"
    echo 1 >"$crate/src/.deps/$name"
done <../names
echo 1 >$crate/src/lib.rs
find vendor -type f | sort >../before
dpkg-source -b . >/dev/null 2>&1
(cd .. && tar -xJf words_1.0.tar.xz --one-top-level=native --strip-components=1)
(cd ../native && find vendor -type f | sort) >../after
comm -23 ../before ../after | sed 's/^/dpkg-source /'
dh_auto_clean >/dev/null 2>&1
find vendor -type f | sort >../after
comm -23 ../before ../after | sed 's/^/dh_auto_clean /'
dh_clean >/dev/null 2>&1
find vendor -type f | sort >../after
comm -23 ../before ../after | sed 's/^/dh_clean /'
