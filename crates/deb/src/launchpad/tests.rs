//! For each rule an upload that violates just that rule, and valid uploads that pass.

use super::*;
use crate::checksums::{FileChecksums, list};
use crate::control::{ControlError, Paragraph, parse_one};
use crate::unpacked_source::UnpackFailure;
use std::collections::BTreeMap;

const VERSION: &str = "1.0-0ubuntu1~ppa1~ubuntu24.04.1";
const FILES: [&str; 4] =
    ["x_1.0.orig.tar.xz", "x_1.0.orig-vendor.tar.xz", "x_1.0-0ubuntu1~ppa1~ubuntu24.04.1.debian.tar.xz", "x.buildinfo"];

/// A valid upload, in memory.
fn valid() -> Upload {
    let checksums: Vec<FileChecksums> =
        FILES[..3].iter().map(|name| FileChecksums::from_bytes(name, name.as_bytes())).collect();
    let mut dsc = Paragraph::new();
    for (field, value) in [
        ("Format", "3.0 (quilt)"),
        ("Source", "xx"),
        ("Binary", "xx"),
        ("Architecture", "any"),
        ("Version", VERSION),
        ("Maintainer", "A Name <a@example.org>"),
        ("Build-Depends", "debhelper-compat (= 13), cargo | rustc-1.80"),
    ] {
        dsc.set(field, value);
    }
    list(&mut dsc, &checksums, Some(""));
    let dsc_name = format!("xx_{VERSION}.dsc");
    let buildinfo = format!("xx_{VERSION}_source.buildinfo");
    let all: Vec<FileChecksums> =
        [FileChecksums::from_bytes(&dsc_name, b"dsc"), FileChecksums::from_bytes(&buildinfo, b"info")]
            .into_iter()
            .chain(checksums)
            .collect();
    let mut changes = Paragraph::new();
    for (field, value) in [
        ("Format", "1.8"),
        ("Date", "Mon, 01 Jun 2026 12:00:00 +0000"),
        ("Source", "xx"),
        ("Binary", "xx"),
        ("Architecture", "source"),
        ("Version", VERSION),
        ("Distribution", "noble"),
        ("Maintainer", "A Name <a@example.org>"),
        ("Changed-By", "A Name <a@example.org>"),
        ("Changes", "\nxx"),
    ] {
        changes.set(field, value);
    }
    list(&mut changes, &all, Some("net optional "));
    let document = |name: &str| (name.to_owned(), Document { is_link: false, size: 100 });
    Upload {
        changes_name: format!("xx_{VERSION}_source.changes"),
        changes,
        changes_signature: Signature::Good("KEY".into()),
        dsc_name,
        dsc,
        dsc_signature: Signature::Good("KEY".into()),
        unparsable: Vec::new(),
        files: all.into_iter().map(|file| (file.name.clone(), file)).collect(),
        contents: SourceContents {
            directories: vec!["xx-1.0".into()],
            failure: None,
            documents: ["debian/changelog", "debian/copyright"].map(document).into_iter().collect(),
        },
    }
}

fn context() -> CheckContext {
    CheckContext {
        distribution: Distribution::Ubuntu,
        today: "2026-06-01".into(),
        allow_unsigned: false,
        archive: None,
    }
}

fn with_archive() -> CheckContext {
    CheckContext { archive: Some(ArchiveState { size: Some((0, 8 << 30)), ..ArchiveState::default() }), ..context() }
}

type Violate = fn(&mut Upload, &mut CheckContext);

/// Changes a file's line in both lists of `.changes` or `.dsc`.
fn renamed(paragraph: &mut Paragraph, from: &str, to: &str) {
    for field in ["Files", "Checksums-Sha1", "Checksums-Sha256"] {
        let text = paragraph.get(field).unwrap().replace(from, to);
        paragraph.set(field, text);
    }
}

/// A file under another name in the upload, `.dsc` and `.changes`.
fn rename_everywhere(upload: &mut Upload, from: &str, to: &str) {
    renamed(&mut upload.changes, from, to);
    renamed(&mut upload.dsc, from, to);
    let mut checksums = upload.files.remove(from).unwrap();
    checksums.name = to.to_owned();
    upload.files.insert(to.to_owned(), checksums);
}

fn add_file(upload: &mut Upload, name: &str, in_dsc: bool) {
    let checksums = FileChecksums::from_bytes(name, b"more");
    for (paragraph, middle, wanted) in [(&mut upload.changes, "net optional ", true), (&mut upload.dsc, "", in_dsc)] {
        if wanted {
            let lines = [
                ("Files", &checksums.md5, middle),
                ("Checksums-Sha1", &checksums.sha1, ""),
                ("Checksums-Sha256", &checksums.sha256, ""),
            ];
            for (field, checksum, middle) in lines {
                let list = paragraph.get(field).unwrap().to_owned();
                paragraph.set(field, format!("{list}\n{checksum} {} {middle}{name}", checksums.size));
            }
        }
    }
    upload.files.insert(name.to_owned(), checksums);
}

/// Removes a file from all lists of a paragraph.
fn unlist(paragraph: &mut Paragraph, end: &str) {
    for field in ["Files", "Checksums-Sha1", "Checksums-Sha256"] {
        let kept = paragraph.lines(field).filter(|line| !line.ends_with(end)).map(|line| format!("\n{line}"));
        let kept: String = kept.collect();
        paragraph.set(field, kept);
    }
}

const VIOLATIONS: &[(&str, &str, Violate)] = &[
    ("changes-fields", "Unable to find mandatory field 'Changed-By' in the changes file.", |u, _| {
        u.changes.remove("Changed-By")
    }),
    ("changes-fields", "Unable to find mandatory field 'Date' in the changes file.", |u, _| u.changes.set("Date", "")),
    ("changes-format", "Format out of acceptable range for changes file. Range 1.5 - 2.0, format 2.1", |u, _| {
        u.changes.set("Format", "2.1")
    }),
    (
        "changes-name",
        "upload.changes -> inappropriate changesfile name, should follow \"<pkg>_<version>_<arch>.changes\" format",
        |u, _| u.changes_name = "upload.changes".into(),
    ),
    (
        "changes-signature",
        "GPG verification of xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1_source.changes failed: Verification failed 3 times: ['No data', 'No data', 'No data']",
        |u, _| u.changes_signature = Signature::None,
    ),
    (
        "dsc-signature",
        "GPG verification of xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc failed: expired (Launchpad sends no mail about a key that it does not know)",
        |u, _| u.dsc_signature = Signature::Bad("expired".into()),
    ),
    ("series", "Unable to find distroseries: unstable", |u, _| u.changes.set("Distribution", "unstable")),
    ("series", "Unable to find distroseries: UNRELEASED", |u, _| u.changes.set("Distribution", "UNRELEASED")),
    ("series", "Unable to find distroseries: bookworm", |u, _| u.changes.set("Distribution", "bookworm")),
    ("pocket", "PPA uploads must be for the RELEASE pocket.", |u, _| u.changes.set("Distribution", "noble-updates")),
    ("obsolete-series", "mantic is obsolete and will not accept new uploads.", |u, _| {
        u.changes.set("Distribution", "mantic")
    }),
    ("obsolete-series", "noble is obsolete and will not accept new uploads.", |_, f| {
        let remote =
            ArchiveState { series: BTreeMap::from([("noble".into(), "Obsolete".into())]), ..ArchiveState::default() };
        f.archive = Some(remote);
    }),
    ("parses", "Unable to parse x.dsc: it is signed twice", |u, _| {
        u.unparsable = vec![("x.dsc".into(), ControlError::SignedTwice)];
        u.dsc = Paragraph::new();
    }),
    ("addresses", "A Name: no @ found in email address part.", |u, _| u.changes.set("Changed-By", "A Name")),
    ("addresses", "A <a@example.org>: doesn't parse as a valid Maintainer field.", |u, _| {
        u.dsc.set("Maintainer", "A <a@example.org>")
    }),
    ("duplicates", "Duplicate filenames in Files field.", |u, _| {
        for (field, line) in ["Files", "Checksums-Sha1", "Checksums-Sha256"]
            .map(|field| (field, u.changes.lines(field).nth(1).unwrap().to_owned()))
        {
            let list = u.changes.get(field).unwrap().to_owned();
            u.changes.set(field, format!("{list}\n{line}"));
        }
    }),
    ("lists-agree", "Mismatch between Checksums-Sha256 and Files fields.", |u, _| {
        let list: String = u.dsc.lines("Checksums-Sha256").skip(1).map(|line| format!("\n{line}")).collect();
        u.dsc.set("Checksums-Sha256", list);
    }),
    ("components", "Cannot mix partner files with non-partner.", |u, _| {
        let files = u.changes.get("Files").unwrap().replacen(" net ", " partner/net ", 1);
        u.changes.set("Files", files);
    }),
    ("architecture", "Mismatch in sourcefulness. (arch) True != (files) False", |u, _| {
        for end in [".xz", ".dsc", ".buildinfo"] {
            unlist(&mut u.changes, end);
        }
        add_file(u, "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1_amd64.deb", false);
        u.changes.set("Architecture", "source amd64");
    }),
    ("architecture", "Mismatch in binaryfulness. (arch) False != (files) True", |u, _| {
        add_file(u, "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1_amd64.buildinfo", false)
    }),
    (
        "architecture",
        "One or more files uploaded with specific architecture but changes file does not list it.",
        |u, _| add_file(u, "xx_1.0_amd64.deb", false),
    ),
    (
        "architecture",
        "One or more files uploaded with architecture 'all' but changes file does not list 'all'.",
        |u, _| add_file(u, "xx_1.0_all.deb", false),
    ),
    ("file-lines", "Wrong number of fields in Checksums-Sha1 field line.", |u, _| {
        u.changes.set("Checksums-Sha1", "a b")
    }),
    ("file-kinds", "Unable to identify file xx_1.0.txt (net) in changes.", |u, _| add_file(u, "xx_1.0.txt", false)),
    (
        "file-names",
        "Invalid character(s) in filename: 'xü_1.0-0ubuntu1~ppa1~ubuntu24.04.1_source.buildinfo'.",
        |u, _| {
            let name = "xü_1.0-0ubuntu1~ppa1~ubuntu24.04.1_source.buildinfo";
            add_file(u, name, false);
        },
    ),
    ("sections", "x_1.0.orig.tar.xz: Unknown section 'nets'", |u, _| {
        let files =
            u.changes.get("Files").unwrap().replacen("net optional x_1.0.orig.tar", "nets optional x_1.0.orig.tar", 1);
        u.changes.set("Files", files);
    }),
    ("sections", "x_1.0.orig.tar.xz: Unknown component 'best'", |u, _| {
        let files = u.changes.get("Files").unwrap().replacen(
            "net optional x_1.0.orig.tar",
            "best/net optional x_1.0.orig.tar",
            1,
        );
        u.changes.set("Files", files);
    }),
    (
        "checksums",
        "File xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc mentioned in the changes file was not found.",
        |u, _| {
            u.files.remove(&u.dsc_name.clone());
        },
    ),
    (
        "checksums",
        "File xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1_source.buildinfo mentioned in the changes has a size mismatch. 4 != 5",
        |u, _| {
            for field in ["Files", "Checksums-Sha1", "Checksums-Sha256"] {
                let list = u.changes.get(field).unwrap().replace(" 4 ", " 5 ");
                u.changes.set(field, list);
            }
        },
    ),
    ("source-only", "Source/binary (i.e. mixed) uploads are not allowed.", |u, _| {
        add_file(u, "xx_1.0_amd64.deb", false);
        u.changes.set("Architecture", "source amd64")
    }),
    ("one-dsc", "Changes file lists more than one .dsc", |u, _| {
        add_file(u, "yy_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc", false)
    }),
    ("one-dsc", "Sourceful upload without a .dsc", |u, _| unlist(&mut u.changes, ".dsc")),
    ("dsc-fields", "Unable to find mandatory field Maintainer in xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc", |u, _| {
        u.dsc.remove("Maintainer");
    }),
    ("dsc-source", "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: invalid source name Xx", |u, _| u.dsc.set("Source", "Xx")),
    (
        "versions-agree",
        "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: version ('1.0-2') in .dsc does not match version ('1.0-0ubuntu1~ppa1~ubuntu24.04.1') in .changes.",
        |u, _| u.dsc.set("Version", "1.0-2"),
    ),
    ("versions-agree", "1.1: should be 1.0 according to changes file.", |u, _| {
        rename_everywhere(u, "x_1.0.orig.tar.xz", "x_1.1.orig.tar.xz");
    }),
    ("dsc-format", "Unsupported source format: 3.0 (git)", |u, _| u.dsc.set("Format", "3.0 (git)")),
    (
        "dsc-files",
        "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: must have only an orig.tar.*, a debian.tar.*, and optionally orig-*.tar.*",
        |u, _| add_file(u, "xx_1.0.orig.tar.gz", true),
    ),
    ("dsc-files", "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: has more than one orig-vendor.tar.*.", |u, _| {
        add_file(u, "xx_1.0.orig-vendor.tar.gz", true);
    }),
    ("dsc-files", "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: is format 1.0 but uses xz compression.", |u, _| {
        u.dsc.set("Format", "1.0");
        for (from, to) in [("x_1.0.orig-vendor.tar.xz", ""), ("x_1.0-0ubuntu1~ppa1~ubuntu24.04.1.debian.tar.xz", "")] {
            for field in ["Files", "Checksums-Sha1", "Checksums-Sha256"] {
                let kept = |line: &&str| !line.ends_with(from);
                let text: String = u.dsc.lines(field).filter(kept).map(|line| format!("\n{line}{to}")).collect();
                u.dsc.set(field, text);
            }
        }
        add_file(u, "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.diff.gz", true);
    }),
    (
        "dsc-files",
        "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: File x_1.0.orig-data.tar.zst does not look sourceful.",
        |u, _| {
            add_file(u, "x_1.0.orig-data.tar.zst", true);
            unlist(&mut u.changes, ".zst");
        },
    ),
    ("dsc-checksums", "Unable to find x_0.9.orig-data.tar.xz in upload or distribution.", |u, _| {
        add_file(u, "x_0.9.orig-data.tar.xz", true);
        unlist(&mut u.changes, "x_0.9.orig-data.tar.xz");
        u.files.remove("x_0.9.orig-data.tar.xz");
    }),
    ("dsc-checksums", "Unable to find x_1.0.orig.tar.xz in upload or distribution.", |u, f| {
        unlist(&mut u.changes, "x_1.0.orig.tar.xz");
        *f = with_archive();
    }),
    (
        "build-depends",
        "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: invalid Build-Depends field; cannot be parsed by deb822: cannot parse package relationship \"cargo >= 1\", returning it raw (unexpected `>= 1`)",
        |u, _| u.dsc.set("Build-Depends", "debhelper, cargo >= 1"),
    ),
    ("unpacks", "Unpacked source contains more than one directory: ['xx-1.0', 'yy']", |u, _| {
        u.contents.directories.push("yy".into())
    }),
    (
        "unpacks",
        "dpkg-source failed for xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc [return: 25]\n[dpkg-source output: it broke]",
        |u, _| u.contents.failure = Some(UnpackFailure { code: 25, output: "it broke".into() }),
    ),
    ("documents", "No changelog file found.", |u, _| {
        u.contents.documents.remove("debian/changelog");
    }),
    ("documents", "Symbolic link for debian/copyright not allowed", |u, _| {
        u.contents.documents.insert("debian/copyright".into(), Document { is_link: true, size: 1 });
    }),
    ("documents", "debian/changelog file too large, 10MiB max", |u, _| {
        u.contents.documents.insert("debian/changelog".into(), Document { is_link: false, size: 10_485_761 });
    }),
    (
        "same-bytes",
        "File x_1.0.orig.tar.xz already exists in the archive, but uploaded version has different contents. See more information about this error in https://help.launchpad.net/Packaging/UploadErrors.",
        |_, f| {
            *f = with_archive();
            f.archive.as_mut().unwrap().files.insert("x_1.0.orig.tar.xz".into(), "0".repeat(64));
        },
    ),
    (
        "higher-version",
        "xx_1.0-0ubuntu1~ppa1~ubuntu24.04.1.dsc: Version older than that in the archive. 1.0-0ubuntu1~ppa1~ubuntu24.04.1 <= 1.0-0ubuntu1",
        |_, f| {
            *f = with_archive();
            f.archive.as_mut().unwrap().versions.push(("1.0-0ubuntu1".into(), "noble".into()));
        },
    ),
    (
        "new-version",
        "The source xx - 1.0-0ubuntu1~ppa1~ubuntu24.04.1 is already accepted in ubuntu/jammy and you cannot upload the same version",
        |_, f| {
            *f = with_archive();
            f.archive.as_mut().unwrap().versions.push((VERSION.into(), "jammy".into()));
        },
    ),
    (
        "quota",
        "PPA exceeded its size limit (8192.00 of 8192.00 MiB). Ask a question in https://answers.launchpad.net/soyuz/ if you need more space.",
        |_, f| f.archive = Some(ArchiveState { size: Some((8 << 30, 8 << 30)), ..ArchiveState::default() }),
    ),
];

#[test]
fn each_violation_is_found_by_its_rule_alone() {
    for (rule, text, violate) in VIOLATIONS {
        let (mut upload, mut context) = (valid(), context());
        violate(&mut upload, &mut context);
        let found = check(&upload, &context);
        let rules: Vec<&str> = found.iter().map(|one| one.rule).collect();
        assert!(found.iter().any(|one| one.rule == *rule && one.text.starts_with(text)), "{rule}: {text}\n{found:#?}");
        // Launchpad itself has several texts for what a wrong `Architecture` means.
        let related = ["architecture", "source-only", "one-dsc"];
        let is_of_it = |other: &&str| *other == *rule || (related.contains(rule) && related.contains(other));
        assert!(rules.iter().all(is_of_it), "{text}: {found:#?}");
    }
    let broken: std::collections::BTreeSet<&str> = VIOLATIONS.iter().map(|(rule, ..)| *rule).collect();
    let all: std::collections::BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(broken, all, "this table violates every rule");
}

#[test]
fn valid_uploads_pass() {
    assert_eq!(check(&valid(), &context()), []);
    // The archive has the same file and a lower version; the other series has a version of its own.
    let mut context = with_archive();
    let archive = context.archive.as_mut().unwrap();
    archive.files.insert(FILES[0].into(), FileChecksums::from_bytes(FILES[0], FILES[0].as_bytes()).sha256);
    archive.versions.push(("1.0-0ubuntu1~ppa1~ubuntu22.04.1".into(), "jammy".into()));
    archive.versions.push(("0.9-0ubuntu1~ppa1~ubuntu24.04.1".into(), "noble".into()));
    assert_eq!(check(&valid(), &context), []);
    // Then the orig tarball may be omitted.
    let mut without = valid();
    let text = without.changes.text();
    let kept: String =
        text.lines().filter(|line| !line.ends_with("x_1.0.orig.tar.xz")).map(|line| format!("{line}\n")).collect();
    without.changes = parse_one(&kept).unwrap();
    assert_eq!(check(&without, &context), []);
    // Not signed yet, and for another archive.
    let mut unsigned = valid();
    (unsigned.changes_signature, unsigned.dsc_signature) = (Signature::None, Signature::None);
    unsigned.changes.set("Distribution", "trixie");
    let debian = CheckContext { distribution: Distribution::Debian, allow_unsigned: true, ..self::context() };
    assert_eq!(check(&unsigned, &debian), []);
}
