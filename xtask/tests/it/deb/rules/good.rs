//! Packages of every form that people upload, which pass.

use super::From;

/// What the package is, and how it is made.
pub(super) const ROWS: &[(&str, From, &str)] = &[
    ("signed with debsign", From::Signed, ""),
    ("with carriage returns, as a mail program left it", From::Signed, "sed -i 's/$/\\r/' $C"),
    ("with spaces after the lines of the signature", From::Signed, "sed -i 's/^-----.*/& /' $C"),
    ("a .changes in Latin-1", From::Signed, "edit $C $(printf 's/First/Caf\\351/')"),
    ("with an epoch", From::Tree, "sed -i '1s/(1.0-1)/(2:1.0-1)/' tree/debian/changelog"),
    (
        "3.0 (native)",
        From::Tree,
        "echo '3.0 (native)' >tree/debian/source/format; sed -i '1s/1.0-1/1.0/' tree/debian/changelog; rm words_*",
    ),
    (
        "1.0, native",
        From::Tree,
        "echo 1.0 >tree/debian/source/format; sed -i '1s/1.0-1/1.0/' tree/debian/changelog; rm words_*",
    ),
    (
        "1.0 with a diff",
        From::Tree,
        "echo 1.0 >tree/debian/source/format; rm -r tree/data words_*data*; mv tree words-1.0; ln -s words-1.0 tree",
    ),
    ("a bzip2 orig tarball", From::Tree, "gunzip $O; bzip2 words_1.0.orig.tar"),
    ("an xz orig tarball", From::Tree, "gunzip $O; xz words_1.0.orig.tar"),
    (
        "a signed orig tarball",
        From::Tree,
        "gpg -q --batch -u $KEY --armor --detach-sign -o $O.asc $O; mkdir tree/debian/upstream; \
         gpg -q --armor --export $KEY >tree/debian/upstream/signing-key.asc",
    ),
    (
        "a name with a comma, a full stop and umlauts",
        From::Tree,
        "sed -i 's/A Tester/Ä. Täster, Jr./' tree/debian/changelog tree/debian/control",
    ),
    ("an address without a name", From::Signed, "edit $C 's/^Changed-By: .*/Changed-By: tester@example.org/'"),
    ("with a Binary field, as older dpkg writes it", From::Signed, "edit $C 's/^Source:.*/&\\nBinary: words/'"),
    ("without .buildinfo", From::Signed, "drop $C $B; rm $B"),
    ("an unsigned .buildinfo", From::Built, "sign $D; sign $C; relist $D"),
    (
        "without the orig tarballs, which the archive has",
        From::Bare,
        "build; cd tree; dpkg-genchanges -q --build=source -sd -O../$C; cd ..; debsign --no-re-sign -k$KEY $C >/dev/null 2>&1",
    ),
    ("another file name of .changes, as mergechanges writes it", From::Signed, "mv $C words_1.0-1_multi.changes"),
    ("Ubuntu's alias of the newest series", From::Signed, "edit $C 's/^Distribution: .*/Distribution: devel/'"),
    ("the number of a series", From::Signed, "edit $C 's/^Distribution: .*/Distribution: 24.04/'"),
    ("an unknown urgency, which Launchpad takes for low", From::Signed, "edit $C 's/^Urgency: .*/Urgency: soon/'"),
    ("a priority that Debian does not have", From::Signed, "edit $C 's/ optional / whenever /'"),
    ("a section of a component", From::Tree, "sed -i 's/^Section: misc/Section: contrib\\/misc/' tree/debian/control"),
    (
        "Vcs fields of no known form",
        From::Tree,
        "sed -i 's/^Standards.*/&\\nVcs-Git: nowhere\\nVcs-Browser: git:/' tree/debian/control",
    ),
    (
        "build dependencies of every form",
        From::Tree,
        "sed -i 's/^Build-Depends: .*/&, gcc [!hurd-i386 linux-any] <!nocheck> <!cross>, python3:any (>> 3~), a+b-c.d:native | make (<< 9:1)/' tree/debian/control",
    ),
    ("without debian/copyright, which is a warning", From::Tree, "rm tree/debian/copyright"),
];
