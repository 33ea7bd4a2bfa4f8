//! The rows of the table: an archive by the program that writes it, the program that reads it for comparison, and the verdict.

use std::fs;
use std::path::Path;

use crate::deb::fixture::run;
use crate::support::{need, text};

/// An input of an image.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Commands of bash in an empty directory, which write the archive to `$A`. `old` gives all files an old time.
    pub(super) script: &'static str,
    /// The file name extension of the archive.
    pub(super) format: &'static str,
    pub(super) strip: u32,
    pub(super) into: &'static str,
    pub(super) reader: Reader,
    pub(super) verdict: Verdict,
    /// Whether only root can make such files.
    root: bool,
}

/// The program whose result is right.
#[derive(Clone, Copy)]
pub(super) enum Reader {
    Tar,
    Bsdtar,
    Unzip,
}

/// What has to happen.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    /// The layer has the same files.
    Same,
    /// The layer has the same files, but for what this note says.
    Noted(&'static str),
    /// The error has these words.
    Refused(&'static str),
}

use Verdict::{Noted, Refused, Same};

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Row {
    pub(super) fn is_possible(&self) -> bool {
        !self.root || need(is_root(), "files with such attributes and devices are made by root only")
    }

    fn by_root(self) -> Row {
        Row { root: true, ..self }
    }

    fn packed(self, format: &'static str, reader: Reader) -> Row {
        Row { format, reader, ..self }
    }
}

pub(super) fn row(name: &'static str, verdict: Verdict, script: &'static str) -> Row {
    let (format, reader) = ("tar.gz", Reader::Tar);
    Row { name, script, format, strip: 0, into: "/opt", reader, verdict, root: false }
}

impl Reader {
    pub(super) fn unpack(self, archive: &Path, into: &Path) {
        let archive = text(archive);
        let kept = ["--xattrs", "--xattrs-include=user.*", "--xattrs-include=security.capability"];
        let words: Vec<&str> = match self {
            Reader::Tar => {
                [&["tar", "--extract", "--preserve-permissions", "--no-same-owner"], &kept[..], &["--file", &archive]]
                    .concat()
            }
            Reader::Bsdtar => vec!["bsdtar", "--no-same-owner", "-xpf", &archive],
            Reader::Unzip => vec!["unzip", "-q", "-K", "-X", &archive],
        };
        fs::create_dir_all(into).unwrap();
        run(into, &words, &[("TZ", "UTC")]);
    }
}

pub(super) fn all() -> Vec<Row> {
    let mut rows = sparse();
    rows.extend(attributes());
    rows.extend(links());
    rows.extend(names());
    rows.extend(dialects());
    rows
}

fn sparse() -> Vec<Row> {
    vec![
        row("sparse-gnu", Same, "truncate -s 2M sparse; echo tail >>sparse; old; tar --format=gnu -Sczf $A ."),
        row("sparse-gnu-many", Same, "for n in {1..40}; do printf x | dd of=s bs=1 seek=$((n*65536)) conv=notrunc status=none; done; truncate -s 5M s; old; tar --format=gnu -Sczf $A ."),
        row("sparse-pax-0.0", Same, "truncate -s 2M sparse; echo tail >>sparse; old; tar --format=posix --sparse-version=0.0 -Sczf $A ."),
        row("sparse-pax-0.1", Same, "truncate -s 2M sparse; echo tail >>sparse; old; tar --format=posix --sparse-version=0.1 -Sczf $A ."),
        row("sparse-pax-1.0", Same, "truncate -s 2M sparse; echo tail >>sparse; truncate -s 1M hole; old; tar --format=posix -Sczf $A ."),
        row("sparse-bsdtar", Same, "truncate -s 2M sparse; echo tail >>sparse; old; bsdtar --read-sparse -czf $A .")
            .packed("tar.gz", Reader::Bsdtar),
        row("sparse-xz", Same, "truncate -s 2M sparse; echo tail >>sparse; old; tar --format=posix -ScJf $A .")
            .packed("tar.xz", Reader::Tar),
        row("sparse-star", Refused("a sparse file as star writes it"), "truncate -s 1M s; python3 - <<<'import os, tarfile
t = tarfile.open(os.environ[\"A\"], \"w:gz\"); i = tarfile.TarInfo(\"s\"); i.pax_headers = {\"SCHILY.realsize\": \"9\"}; t.addfile(i)'"),
        row("sparse-solaris", Refused("a sparse file as Solaris writes it"), "python3 - <<<'import os, tarfile
t = tarfile.open(os.environ[\"A\"], \"w:gz\"); i = tarfile.TarInfo(\"s\"); i.pax_headers = {\"SUN.holesdata\": \" 0 9\"}; t.addfile(i)'"),
    ]
}

/// Sets attributes by Python, where no package with programs for it is needed.
fn attributes() -> Vec<Row> {
    const CAPABILITY: &str = "echo x >f; cp f g; chmod 4711 g; python3 -c 'import os
os.setxattr(\"f\", \"security.capability\", bytes.fromhex(\"0100000200200000000000000000000000000000\"))'; old; ";
    const USER: &str = "echo x >f; mkdir d; python3 -c 'import os
os.setxattr(\"f\", \"user.text\", b\"a\\nb=c\\0d\"); os.setxattr(\"d\", \"user.bytes\", bytes(range(256)))'; old; ";
    const ODD: &str = "echo x >f; python3 -c 'import os
os.setxattr(\"f\", \"user.sp ace%\", b\"1\")'; old; ";
    const EMPTY: &str = "echo x >f; python3 -c 'import os
os.setxattr(\"f\", \"user.empty\", b\"\")'; old; ";
    const LABEL: &str = "echo x >f; cp f g; python3 -c 'import os
for name in \"fg\": os.setxattr(name, \"security.selinux\", b\"system_u:object_r:bin_t:s0\\0\")
os.setxattr(\"f\", \"trusted.mine\", b\"1\"); os.setxattr(\"f\", \"user.a\", b\"1\")'; old; ";
    const ACCESS: &str = "echo x >f; python3 -c 'import os
os.setxattr(\"f\", \"system.posix_acl_access\", bytes.fromhex(\"0200000001000600ffffffff020006009210000004000400ffffffff10000600ffffffff20000400ffffffff\"))'; old; ";
    const DEFAULT: &str = "mkdir d; python3 -c 'import os
os.setxattr(\"d\", \"system.posix_acl_default\", bytes.fromhex(\"0200000001000700ffffffff04000500ffffffff20000500ffffffff\"))'; old; ";
    macro_rules! by {
        ($made:ident, $pack:literal) => {
            Box::leak(format!("{}{}", $made, $pack).into_boxed_str())
        };
    }
    let list = Refused("has an access control list");
    vec![
        row("capability", Same, by!(CAPABILITY, "tar --xattrs --xattrs-include='*' -czf $A .")).by_root(),
        row("capability-bsdtar", Same, by!(CAPABILITY, "bsdtar -czf $A .")).by_root(),
        row("capability-libarchive", Same, by!(CAPABILITY, "bsdtar --format=pax --options xattrheader=LIBARCHIVE -czf $A ."))
            .packed("tar.gz", Reader::Bsdtar)
            .by_root(),
        row("user-attributes", Same, by!(USER, "tar --xattrs -czf $A .")),
        row("user-attributes-bsdtar", Same, by!(USER, "bsdtar -czf $A .")).packed("tar.gz", Reader::Bsdtar),
        row("user-attributes-libarchive", Same, by!(USER, "bsdtar --options xattrheader=LIBARCHIVE -czf $A ."))
            .packed("tar.gz", Reader::Bsdtar),
        row("user-attribute-odd", Refused("has the attribute"), by!(ODD, "tar --xattrs -czf $A .")),
        row("user-attribute-odd-bsdtar", Refused("has the attribute"), by!(ODD, "bsdtar -czf $A .")),
        row("user-attribute-empty", Noted("user.empty without a value"), by!(EMPTY, "tar --xattrs -czf $A .")),
        row("labels", Noted("security.selinux of 2 files"), by!(LABEL, "tar --xattrs --xattrs-include='*' --selinux -czf $A ."))
            .by_root(),
        row("labels-bsdtar", Noted("trusted.mine of /opt/f"), by!(LABEL, "bsdtar -czf $A .")).by_root(),
        row("acl", list, by!(ACCESS, "tar --acls -czf $A .")),
        row("acl-bsdtar", list, by!(ACCESS, "bsdtar -czf $A .")),
        row("acl-as-attribute", list, by!(ACCESS, "tar --xattrs --xattrs-include='*' -czf $A .")),
        row("acl-not-packed", Same, by!(ACCESS, "tar --no-acls -czf $A .")),
        row("acl-of-directory", list, by!(DEFAULT, "tar --acls -czf $A .")),
        row(
            "overlay-upper",
            Refused("has a mark of an overlay file system (trusted.overlay.opaque)"),
            "mkdir d; python3 -c 'import os; os.setxattr(\"d\", \"trusted.overlay.opaque\", b\"y\")'; tar --xattrs --xattrs-include='*' -czf $A .",
        )
        .by_root(),
        row("attribute-twice", Refused("the attribute `user.a` has two values"), "python3 - <<<'import os, tarfile
t = tarfile.open(os.environ[\"A\"], \"w:gz\"); i = tarfile.TarInfo(\"s\")
i.pax_headers = {\"SCHILY.xattr.user.a\": \"1\", \"LIBARCHIVE.xattr.user.a\": \"Mg\"}; t.addfile(i)'"),
        row("setuid", Same, "for m in 4755 2755 6511 1777 0 400; do echo x >f$m; chmod $m f$m; done; mkdir d; chmod 3771 d; old; tar --owner=somebody:4242 -czf $A ."),
        row("character-device", Refused("\"opt/null\" has the type of a character device"), "mknod null c 1 3; tar -czf $A .").by_root(),
        row("block-device", Refused("the type of a block device"), "mknod disk b 8 0; tar -czf $A .").by_root(),
        row("named-pipe", Refused("the type of a named pipe"), "mkfifo pipe; tar -czf $A ."),
    ]
}

fn links() -> Vec<Row> {
    vec![
        row("hard-links", Same, "echo x >b; ln b a; ln b c; mkdir d; ln b d/e; old; tar -czf $A ."),
        row("hard-link-to-symlink", Same, "ln -s gone a; ln a b; ln a c; ln -s c d; old; tar -czf $A ."),
        row("hard-link-to-symlink-bsdtar", Same, "ln -s gone a; ln a b; old; bsdtar -czf $A ."),
        row("hard-link-then-replaced", Same, "echo old >a; ln a b; ln a c; old; tar -cf t a b; rm a b c; echo new >a; touch -d @1000000000 a; tar -rf t a; gzip <t >$A"),
        row("hard-link-through-link", Same, "mkdir d; ln -s d l; echo x >d/f; old; tar -cf t d l; ln d/f g; python3 - <<<'import tarfile
t = tarfile.open(\"t\", \"a\"); i = tarfile.TarInfo(\"g\"); i.type = tarfile.LNKTYPE; i.linkname = \"l/f\"; i.mode = 0o644; i.mtime = 1000000000; t.addfile(i)'; gzip <t >$A"),
        row("hard-link-too-early", Refused("/opt/a is a hard link to /opt/b, which is not a file or link that comes before it"), "echo x >b; ln b a; tar -cf t b a; python3 - <<<'import os, tarfile
o = tarfile.open(os.environ[\"A\"], \"w:gz\"); t = tarfile.open(\"t\")
for i in reversed(t.getmembers()): o.addfile(i, t.extractfile(i) if i.isreg() else None)'"),
        row("hard-link-to-nothing", Refused("/opt/a is a hard link to /opt/b"), "echo x >b; ln b a; tar -cf t b a; tar --delete -f t b; gzip <t >$A"),
        row("hard-link-to-base", Refused("/usr/bin/mine is a hard link to /usr/bin/busybox"), "mkdir -p usr/bin; echo x >usr/bin/busybox; ln usr/bin/busybox usr/bin/mine; tar -cf t usr/bin/busybox usr/bin/mine; tar --delete -f t usr/bin/busybox; gzip <t >$A"),
        Row { strip: 2, ..row("hard-link-stripped", Refused("is a hard link to top, which `strip` removes"), "echo x >top; mkdir -p a/b; ln top a/b/c; tar -czf $A top a") },
        Row { into: "/", ..row("link-over-directory", Refused("/usr is a directory that is not empty"), "ln -s elsewhere usr; tar -czf $A usr") },
        row("directory-twice", Same, "mkdir -p d/e; echo x >d/f; chmod 755 d d/e; old; tar --no-recursion -cf t d d/f d/e; chmod 2700 d; chmod 711 d/e; touch -d @1000000000 d d/e; tar --no-recursion -rf t d d/e; gzip <t >$A"),
        row("kinds-change", Same, "echo a >f; mkdir g; echo x >h; old; tar -cf t f g h; rm -r f g; mkdir f; ln -s h g; echo y >h; chmod 600 h; touch -d @1000000000 f h; tar -rf t f g h; gzip <t >$A"),
        row("directory-after-its-files", Same, "mkdir -p d/e; echo x >d/e/f; chmod 750 d; chmod 711 d/e; old; tar --no-recursion -czf $A d/e/f d/e d"),
    ]
    .into_iter()
    .map(|row| if row.name == "hard-link-to-base" { Row { into: "/", ..row } } else { row })
    .collect()
}

fn names() -> Vec<Row> {
    const LATIN: Verdict = Refused("has a target that is not valid UTF-8");
    vec![
        row(
            "names",
            Same,
            "n=$(printf 'n%.0s' {1..255}); echo x >$n; mkdir -p $n-{1..2} 2>/dev/null || :; d=$(printf 'd/%.0s' {1..90}); mkdir -p $d; echo x >$d/f; ln -s $d/f link; echo y >$'line\\nend'; echo z >'caf\u{e9}'; ln -s 'caf\u{e9}' accent; old; tar --format=posix -czf $A .",
        ),
        row(
            "names-gnu",
            Same,
            "n=$(printf 'n%.0s' {1..255}); echo x >$n; d=$(printf 'd/%.0s' {1..90}); mkdir -p $d; ln -s $d/f link; old; tar --format=gnu -czf $A .",
        ),
        row("absolute-names", Same, "echo x >f; old; tar --transform 's,^,/top/,' -P -czf $A f"),
        row("latin-name", Refused("is not valid UTF-8"), "echo x >$'lat\\xe4'; tar -czf $A ."),
        row("latin-target", LATIN, "ln -s $'lat\\xe4' link; tar -czf $A ."),
        row(
            "latin-target-pax",
            LATIN,
            "ln -s $'lat\\xe4'$(printf 'n%.0s' {1..200}) link; tar --format=posix -czf $A .",
        ),
        row("latin-target-zip", LATIN, "ln -s $'lat\\xe4' link; zip -qry $A .").packed("zip", Reader::Unzip),
        row(
            "latin-hard-link",
            Refused("is not valid UTF-8"),
            "echo x >$'lat\\xe4'; ln $'lat\\xe4' z; tar -czf $A $'lat\\xe4' z",
        ),
        Row {
            into: "/",
            ..row(
                "whiteout",
                Refused("/usr/bin/.wh.sh has a name that removes files of the base image"),
                "mkdir -p usr/bin; echo x >usr/bin/.wh.sh; tar -czf $A usr",
            )
        },
        row(
            "whiteout-of-directory",
            Refused("/opt/d/.wh..wh..opq has a name"),
            "mkdir d; echo x >d/.wh..wh..opq; tar -czf $A .",
        ),
        row("upwards", Refused("contains a `..` component"), "echo x >f; tar --transform 's,^,../,' -P -czf $A f"),
    ]
}

fn dialects() -> Vec<Row> {
    vec![
        row("zip", Same, "echo x >f; chmod 4755 f; mkdir d; ln -s ../f d/l; old; TZ=UTC zip -qry $A .")
            .packed("zip", Reader::Unzip),
        row(
            "bzip2-of-two-streams",
            Same,
            "echo x >f; old; tar -cf t f; head -c 512 t | bzip2 >$A; tail -c +513 t | bzip2 >>$A",
        )
        .packed("tar.bz2", Reader::Tar),
        row(
            "git-archive",
            Same,
            "git init -q .; echo x >f; ln -s f l; git add .; GIT_AUTHOR_DATE=@1000000000+0000 GIT_COMMITTER_DATE=@1000000000+0000 git -c user.name=a -c user.email=a@b.c commit -qm x; git archive -o $A HEAD",
        ),
        row("old-tar", Same, "echo x >f; mkdir d; ln f g; old; tar --format=v7 -czf $A ."),
        row("busybox", Same, "mkdir d; echo x >d/f; ln d/f g; ln -s g l; n=$(printf 'n%.0s' {1..150}); echo x >$n; old; busybox tar -czf $A ."),
        row(
            "second-volume",
            Refused("the rest of a file of another volume"),
            "head -c 30000 /dev/urandom >f; tar --format=posix -M -L 20 -cf v1 -f v2 f; gzip <v2 >$A",
        ),
        row(
            "second-volume-gnu",
            Refused("the rest of a file of another volume"),
            "head -c 30000 /dev/urandom >f; tar --format=gnu -M -L 20 -cf v1 -f v2 f; gzip <v2 >$A",
        ),
        row(
            "owner-negative",
            Refused("it is damaged: an owner"),
            "python3 - <<<'import os, tarfile
t = tarfile.open(os.environ[\"A\"], \"w:gz\", format=tarfile.GNU_FORMAT); i = tarfile.TarInfo(\"f\"); i.uid = -2; t.addfile(i)'",
        ),
        row(
            "zip-of-windows",
            Refused("backslashes in its name"),
            "python3 - <<<'import os, zipfile
z = zipfile.ZipFile(os.environ[\"A\"], \"w\"); i = zipfile.ZipInfo(\"a\"); i.filename = \"d\\\\a\"; i.create_system = 0; z.writestr(i, \"x\"); z.close()'",
        )
        .packed("zip", Reader::Unzip),
        row("volume-label", Refused("the type of a volume label"), "echo x >f; tar --label=backup -czf $A f"),
        row(
            "incremental",
            Refused("the type of a directory of an incremental backup"),
            "mkdir d; echo x >d/f; tar -g ../snapshot -czf $A .",
        ),
    ]
}
