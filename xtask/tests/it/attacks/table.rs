//! The attacks on a downloaded release, and the forms in which an honest one passes.

/// An attack: a shell script in the directory of the download, and the words of the refusal.
pub(super) struct Attack {
    /// The kind: `replaced`, `removed`, `added`, `downgraded`, `replayed` or `renamed`; and what the attacker did.
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    pub(super) how: How,
    pub(super) words: &'static str,
}

/// How the user verifies.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// The whole directory, in the project.
    Directory,
    /// The archive `p-1.1.tar.gz`, in the project.
    Archive,
    /// The archive, and the user asks for version 1.1.
    Version,
    /// The directory, outside of any project, without keys.
    Outside,
    /// The archive, outside of any project, with the project's keys and a quorum of 2.
    Keys,
    /// As a user who is in the directory of the download.
    Inside,
    /// With `--keys keys`, a directory of the download.
    OwnKeys,
}

use How::{Archive, Directory, Inside, Keys, Outside, OwnKeys, Version};

const fn attack(name: &'static str, how: How, script: &'static str, words: &'static str) -> Attack {
    Attack { name, script, how, words }
}

/// Everything that the attacker made, with consistent lists of its own.
const ALL_EVIL: &str = "rm ./*; cp $EVIL/* .";

pub(super) const ATTACKS: &[Attack] = &[
    attack("replaced: the archive", Directory, "cp $EVIL/p-1.1.tar.gz .", "WRONG  p-1.1.tar.gz: its SHA-256 is"),
    attack(
        "replaced: the archive and release.json; the signed list stays",
        Archive,
        "cp $EVIL/p-1.1.tar.gz $EVIL/release.json .",
        "WRONG  p-1.1.tar.gz: its SHA-256 is",
    ),
    attack(
        "replaced: the archive and release.json, with keys outside of a project",
        Keys,
        "cp $EVIL/p-1.1.tar.gz $EVIL/release.json .",
        "WRONG  p-1.1.tar.gz: its SHA-256 is",
    ),
    attack(
        "replaced: everything, without signatures; release.json names a commit without `signing`",
        Archive,
        ALL_EVIL,
        "NOT AUTHENTICATED: SHA256SUMS is signed by nobody of the declared people (0 of 2 required)",
    ),
    attack("replaced: everything, for a user without keys", Outside, ALL_EVIL, "nobody's keys are known here"),
    attack(
        "replaced: everything but the signatures",
        Archive,
        "cp $EVIL/* .",
        "does not count: it is for other content",
    ),
    attack(
        "replaced: everything, signed by a stranger",
        Directory,
        "rm ./*; cp $EVIL/* .; gpgsign mallory > SHA256SUMS.asc",
        "does not count: the key is not among the declared ones",
    ),
    attack(
        "replaced: everything, with keys of its own beside it",
        OwnKeys,
        "rm ./*; cp $EVIL/* .; gpgsign mallory > SHA256SUMS.asc; mkdir keys; G --armor --export mallory@example.org > keys/alice.asc",
        "is inside the directory that is verified, so its keys prove nothing",
    ),
    attack(
        "replaced: everything, with a project of its own around it",
        Inside,
        "rm ./*; cp $EVIL/* .; gpgsign mallory > SHA256SUMS.asc; mkdir -p packaging/keys
         G --armor --export mallory@example.org > packaging/keys/alice.asc
         printf 'name: p\\nversion: {}\\narchives: [{format: tar.gz}]\\nsigning: {keys: packaging/keys}\\n' > packaging/release.yaml
         git init -q; git add packaging; git -c user.name=x -c user.email=x commit -qm x",
        "is inside the directory that is verified, so its keys prove nothing",
    ),
    attack(
        "replaced: the version in release.json",
        Directory,
        "sed -i 's/\"version\": \"1.1\"/\"version\": \"1.2\"/' release.json",
        "WRONG  release.json: its SHA-256 is",
    ),
    attack(
        "replaced: the commit in release.json, beside a good archive",
        Archive,
        "sed -i 's/\"commit\": \"./\"commit\": \"f/; s/\"commit\": \"f./\"commit\": \"f0/' release.json",
        "WRONG  release.json: its SHA-256 is",
    ),
    attack(
        "replaced: a digit in the list",
        Directory,
        "sed -i 's/^./f/; 1s/^f./f0/' SHA256SUMS",
        "does not count: it is for other content",
    ),
    attack(
        "replaced: the signature by one of another file",
        Archive,
        "FILE=release.json gpgsign alice > SHA256SUMS.asc; FILE=release.json sshsign carol > SHA256SUMS.carol.sig",
        "SHA256SUMS is signed by nobody",
    ),
    attack(
        "replaced: the detached signature by a signed message",
        Archive,
        "cp $EVIL/SHA256SUMS .; G --local-user alice@example.org --armor --sign --output - $HONEST/SHA256SUMS > SHA256SUMS.asc",
        "`PGP MESSAGE` is not a detached signature",
    ),
    attack(
        "replaced: the detached signature by a signed message in binary",
        Archive,
        "cp $EVIL/SHA256SUMS .; rm SHA256SUMS.asc
         G --compress-algo none --local-user alice@example.org --sign --output SHA256SUMS.sig $HONEST/SHA256SUMS",
        "which is not a detached signature",
    ),
    attack("removed: all signatures", Directory, "rm SHA256SUMS.*", "(0 of 2 required)"),
    attack("removed: one of two signatures", Archive, "rm SHA256SUMS.carol.sig", "signed by alice of the declared people (1 of 2"),
    attack("removed: the list", Directory, "rm SHA256SUMS", "there is no list of checksums such as SHA256SUMS"),
    attack("removed: the list, for one archive", Archive, "rm SHA256SUMS*", "there is no list of checksums"),
    attack("removed: all lines of the list", Directory, ": > SHA256SUMS", "SHA256SUMS: it lists no file"),
    attack("removed: a line of the list", Archive, "sed -i /tar.gz/d SHA256SUMS", "no list that counts names it"),
    attack("removed: release.json", Directory, "rm release.json", "WRONG  release.json: cannot read it"),
    attack("removed: an archive", Directory, "rm p-1.1.zip", "WRONG  p-1.1.zip: cannot read it: no such file"),
    attack(
        "added: an archive that no list names",
        Directory,
        "cp $EVIL/p-1.1.tar.gz p-1.1-Fedora.tar.gz",
        "p-1.1-Fedora.tar.gz: no list that counts names it",
    ),
    attack("added: a file that no list names", Directory, "echo evil > INSTALL.sh", "INSTALL.sh: no list that counts names it"),
    attack(
        "added: a list that nobody signed, with another archive",
        Directory,
        "cp $EVIL/p-1.1.tar.gz q.tar.gz; sha512sum q.tar.gz > SHA512SUMS",
        "SHA512SUMS: too few people signed this list",
    ),
    attack(
        "added: a script that looks like a list and repeats the signed one",
        Directory,
        "(echo 'rm -rf /tmp/x'; cat SHA256SUMS) > SHA256SUMS.sh",
        "SHA256SUMS.sh: too few people signed this list, and it has lines that are not checksums",
    ),
    attack(
        "added: a list that a stranger signed inline, with another archive",
        Directory,
        "cp $EVIL/p-1.1.tar.gz q.tar.gz; sha256sum q.tar.gz > x
         G --local-user mallory@example.org --clearsign --output - x > SHA256SUMS.txt.asc; rm x",
        "SHA256SUMS.txt.asc: too few people signed this list",
    ),
    attack(
        "added: lines before the text of an inline signature",
        Directory,
        "cp $EVIL/p-1.1.tar.gz .; sha256sum p-1.1.tar.gz > x; rm SHA256SUMS.*
         (cat x; G --local-user alice@example.org --clearsign --output - SHA256SUMS) > SHA256SUMS.asc; rm x SHA256SUMS",
        "text beside the signed text",
    ),
    attack(
        "added: an unsigned header in an inline signature",
        Directory,
        "rm SHA256SUMS.*; G --local-user alice@example.org --clearsign --output - SHA256SUMS |
         sed \"s/^Hash: .*/&\\n$(sha256sum $EVIL/p-1.1.tar.gz | cut -c1-64)  p-1.1.tar.gz/\" > SHA256SUMS.asc; rm SHA256SUMS
         cp $EVIL/p-1.1.tar.gz .",
        "text beside the signed text",
    ),
    attack(
        "added: a second signature of the same person",
        Archive,
        "rm SHA256SUMS.carol.sig; sleep 1; gpgsign alice >> SHA256SUMS.asc",
        "signed by alice of the declared people (1 of 2 required)",
    ),
    attack(
        "added: a signature by another key of the same person",
        Archive,
        "rm SHA256SUMS.*; gpgsign erin > SHA256SUMS.asc; sshsign erin > SHA256SUMS.erin.sig",
        "signed by erin of the declared people (1 of 2 required)",
    ),
    attack(
        "added: a contradicting line in the list",
        Archive,
        "echo \"$(sha256sum $EVIL/p-1.1.tar.gz | cut -c1-64)  ./p-1.1.tar.gz\" >> SHA256SUMS",
        "`./p-1.1.tar.gz` has another checksum in an earlier line",
    ),
    attack(
        "downgraded: a signature with SHA-1",
        Archive,
        "rm SHA256SUMS.carol.sig; gpgsign bob --digest-algo SHA1 > SHA256SUMS.bob.asc",
        "does not count: its digest SHA-1 is too weak",
    ),
    attack(
        "downgraded: a signature by a key of 1024 bits",
        Archive,
        "rm SHA256SUMS.carol.sig; gpgsign frank > SHA256SUMS.frank.asc",
        "does not count: its key is too weak (RSA with 1024 bits)",
    ),
    attack(
        "downgraded: the list to MD5, signed by enough people",
        Archive,
        "md5sum p-1.1.tar.gz release.json > SHA256SUMS; gpgsign alice > SHA256SUMS.asc; sshsign carol > SHA256SUMS.carol.sig",
        "its only checksums are weak",
    ),
    attack(
        "downgraded: a signature made after its key expired",
        Archive,
        "rm SHA256SUMS.carol.sig; cp $HONEST/late/gina.asc SHA256SUMS.gina.asc",
        "and its key expired on 2020-12-31",
    ),
    attack(
        "downgraded: a signature by a revoked key",
        Archive,
        "rm SHA256SUMS.carol.sig; cp $HONEST/late/hugo.asc SHA256SUMS.hugo.asc",
        "SHA256SUMS.hugo.asc: the OpenPGP signature by hugo",
    ),
    attack(
        "downgraded: a signature by a key that is revoked and has expired",
        Archive,
        "rm SHA256SUMS.carol.sig; cp $HONEST/late/ivan.asc SHA256SUMS.ivan.asc",
        "does not count: its key is revoked",
    ),
    attack(
        "downgraded: a signature by a revoked SSH key",
        Archive,
        "rm SHA256SUMS.carol.sig; sshsign julia > SHA256SUMS.julia.sig",
        "does not count: its key is revoked",
    ),
    attack(
        "replayed: an SSH signature that was made for git",
        Archive,
        "sshsign carol git > SHA256SUMS.carol.sig",
        "does not count: it is for the SSH namespace `git`",
    ),
    attack("replayed: the older release", Version, "rm ./*; cp $OLD/* .", "WRONG  p-1.1.tar.gz: no list that counts names it"),
    attack(
        "replayed: the older release with its archive under the new name",
        Version,
        "rm ./*; cp $OLD/* .; mv p-1.0.tar.gz p-1.1.tar.gz",
        "tag v1.0, commit",
    ),
    attack(
        "replayed: the older list and its signatures",
        Directory,
        "cp $OLD/SHA256SUMS* .",
        "p-1.1.tar.gz: no list that counts names it",
    ),
    attack(
        "replayed: the older signatures",
        Directory,
        "cp $OLD/SHA256SUMS.* .",
        "does not count: it is for other content",
    ),
    attack(
        "replayed: another project's release that the same people signed",
        Directory,
        "rm ./*; cp $OTHER/* .",
        "and this project is p",
    ),
    attack(
        "renamed: the list of the older release, as that of the new one",
        Directory,
        "rm ./*; cp $OLD/* .; for file in SHA256SUMS*; do mv $file SHA256SUMS-v1.1${file#SHA256SUMS}; done",
        "SHA256SUMS-v1.1 names version 1.1, and release.json is of release 1.0 of p",
    ),
    attack(
        "renamed: the archive of the older release",
        Archive,
        "cp $OLD/p-1.0.tar.gz p-1.1.tar.gz",
        "WRONG  p-1.1.tar.gz: its SHA-256 is",
    ),
    attack("renamed: two archives, each as the other", Archive, "mv p-1.1.zip x; mv p-1.1.tar.gz p-1.1.zip; mv x p-1.1.tar.gz", "WRONG  p-1.1.tar.gz"),
    attack("renamed: an archive, with another case", Directory, "mv p-1.1.zip P-1.1.zip", "P-1.1.zip: no list that counts names it"),
    attack(
        "renamed: the archive, to a link to another file",
        Archive,
        "mv p-1.1.tar.gz ../real.tar.gz; ln -s ../real.tar.gz p-1.1.tar.gz",
        "WRONG  p-1.1.tar.gz: cannot read it",
    ),
    attack(
        "renamed: a listed file, to one in another directory",
        Archive,
        "sed -i 's,  p,  ../p,' SHA256SUMS",
        "`../p-1.1.tar.gz` leads out of the directory",
    ),
];

/// An honest release in one of the forms in which people publish it: a script, what is verified, and words of the result.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    pub(super) how: How,
    pub(super) words: &'static str,
}

const fn form(name: &'static str, how: How, script: &'static str, words: &'static str) -> Form {
    Form { name, script, how, words }
}

const WHOLE: &str = "AUTHENTICATED: release 1.1 of p, tag v1.1, commit ";
/// As above, of a list that was written and signed anew.
const ANEW: &str = "AUTHENTICATED: release 1.1 of p";

pub(super) const FORMS: &[Form] = &[
    form("as Drydock writes it", Directory, "", WHOLE),
    form("one archive", Archive, "rm p-1.1.zip", WHOLE),
    form("one archive, outside of a project", Keys, "", WHOLE),
    form("one archive without release.json", Archive, "rm release.json", "not proved: which version they are"),
    form("the version that was asked for", Version, "", WHOLE),
    form("a stranger's signature is appended", Directory, "gpgsign mallory >> SHA256SUMS.asc", WHOLE),
    form(
        "a stranger's SSH signature is beside it",
        Directory,
        "ssh-keygen -q -t ed25519 -N '' -f x; ssh-keygen -Y sign -q -f x -n file < SHA256SUMS > SHA256SUMS.x.sig; rm x x.pub",
        WHOLE,
    ),
    form(
        "garbage is appended to the signatures",
        Directory,
        "echo -----BEGIN PGP SIGNATURE----- >> SHA256SUMS.asc",
        WHOLE,
    ),
    form("a damaged signature of a third person", Directory, "gpgsign bob | sed 5s/./x/ > SHA256SUMS.bob.asc", WHOLE),
    form(
        "one file a signer",
        Directory,
        "rm SHA256SUMS.*; gpgsign bob > SHA256SUMS.bob.asc; sshsign dave > SHA256SUMS.dave.sig",
        WHOLE,
    ),
    form(
        "all signatures in one file, of both kinds",
        Directory,
        "cat SHA256SUMS.carol.sig >> SHA256SUMS.asc; rm SHA256SUMS.carol.sig",
        WHOLE,
    ),
    form(
        "binary signatures in one file",
        Directory,
        "rm SHA256SUMS.*; (gpgsign alice | G --dearmor; gpgsign bob | G --dearmor) > SHA256SUMS.gpg",
        WHOLE,
    ),
    form(
        "a key that expired after it signed",
        Directory,
        "rm SHA256SUMS.carol.sig; cp $HONEST/late/gina-early.asc SHA256SUMS.gina.asc",
        "its key expired on 2020-12-31, after it was made on 2020-06-01",
    ),
    form(
        "a list with the version in its name",
        Directory,
        "for file in SHA256SUMS*; do mv $file SHA256SUMS-v1.1${file#SHA256SUMS}; done",
        WHOLE,
    ),
    form(
        "a list called SHA256SUMS.txt",
        Directory,
        "for file in SHA256SUMS*; do mv $file SHA256SUMS.txt${file#SHA256SUMS}; done",
        WHOLE,
    ),
    form(
        "a list of BSD style, with line ends of Windows",
        Directory,
        "rm SHA256SUMS.*; sha256sum --tag p-1.1.* release.json | sed 's/$/\\r/' > SHA256SUMS; gpgsign alice > SHA256SUMS.asc; sshsign carol > SHA256SUMS.sig",
        ANEW,
    ),
    form(
        "a list with a byte order mark, binary marks, `./` and comments",
        Archive,
        "rm SHA256SUMS.*; (printf '\\357\\273\\277# sums\\n'; sha256sum -b ./p-1.1.* ./release.json) > SHA256SUMS; gpgsign alice > SHA256SUMS.asc; sshsign carol > SHA256SUMS.sig",
        ANEW,
    ),
    form(
        "a second list with SHA-512, signed too",
        Directory,
        "sha512sum p-1.1.* release.json > SHA512SUMS; FILE=SHA512SUMS gpgsign alice > SHA512SUMS.asc; FILE=SHA512SUMS sshsign dave > SHA512SUMS.dave.sig",
        WHOLE,
    ),
    form(
        "a list with inline signatures of two people",
        Directory,
        "rm SHA256SUMS.*; G --local-user alice@example.org --local-user bob@example.org --clearsign --output SHA256SUMS.asc SHA256SUMS; rm SHA256SUMS",
        ANEW,
    ),
    form(
        "the files of the machine that built it",
        Directory,
        "cp $HONEST/build-info.json .; echo '{}' > proof.json",
        "not checked: build-info.json, proof.json",
    ),
];
