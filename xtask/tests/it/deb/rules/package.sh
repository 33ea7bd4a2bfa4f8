# Functions for the scripts of rows. The directory has a package whose names are in $C, $D, $B and $O.

# Writes the package: the sources in `tree`, with the programs of dpkg and debsign.
build() {
    (cd tree
    dpkg-source "$@" -b . >/dev/null 2>&1
    v=$(dpkg-parsechangelog -SVersion | sed 's/^[0-9]*://')
    dpkg-genbuildinfo --build=source "-O../words_${v}_source.buildinfo"
    dpkg-genchanges -q --build=source -sa "-O../words_${v}_source.changes")
}

sign() { gpg -q --batch --yes "${2:---armor}" -u "${3:-$KEY}" --clearsign -o "$1.asc-part" "$1" && mv "$1.asc-part" "$1"; }
unsign() { gpg -q --batch --yes -d -o "$1.part" "$1" 2>/dev/null && mv "$1.part" "$1"; }

# Changes a signed file with sed, and signs it again.
edit() {
    file=$1
    shift
    unsign "$file"
    sed -i "$@" "$file"
    sign "$file"
}

# Adds a file to the lists of $C or $D, which is named first; the section, the priority and a space come last.
list() {
    at="$(stat -c %s "$2") "
    md5=$(md5sum "$2" | cut -d' ' -f1)
    sha1=$(sha1sum "$2" | cut -d' ' -f1)
    sha256=$(sha256sum "$2" | cut -d' ' -f1)
    edit "$1" -e "/^Files:/a\\ $md5 $at$3$2" -e "/^Checksums-Sha1:/a\\ $sha1 $at$2" \
        -e "/^Checksums-Sha256:/a\\ $sha256 $at$2"
}

# Takes a file off the lists of $C or $D.
drop() { edit "$1" "/^ .* $2\$/d"; }

# Puts the present bytes of a file onto the lists of $C.
relist() { drop "$C" "$1"; list "$C" "$1" "misc optional "; }

# Changes $D with sed, signs it, and lists it again.
dsc() { edit "$D" "$@"; relist "$D"; }

# Replaces debian.tar.xz by what the commands make of its content.
debian() {
    mkdir unpacked
    tar -xJf "$T" -C unpacked
    (cd unpacked && eval "$1")
    tar -cJPf "$T" -C unpacked ${2:-debian}
    rm -r unpacked
    drop "$D" "$T"
    list "$D" "$T" ""
    relist "$D"
    relist "$T"
}
