//! Declared releases: the resolved releases, and the problems of wrong declarations.

use super::*;

fn parse(text: &str) -> Result<Release, Diagnostics> {
    Release::parse(text, Path::new("packaging/release.yaml"))
}

#[test]
fn defaults_are_applied() {
    let release =
        parse("name: x\nversion: {}\narchives: [{format: tar.xz}, {format: zip, name: 'x-v{version}.zip'}]\n");
    let release = release.unwrap();
    let version: Version = "1.0~rc1".parse().unwrap();
    let names: Vec<String> = release.archives.iter().map(|archive| archive.name.render(&version)).collect();
    assert_eq!(names, ["x-1.0~rc1.tar.xz", "x-v1.0~rc1.zip"]);
    assert_eq!(release.tag.version_in("v2.1"), "2.1".parse().ok());
    assert_eq!(release.tag.version_in("2.1"), None);
    assert!(release.submodules && release.generators.is_empty() && release.offline_proof.is_none());
}

#[test]
fn all_problems_are_shown_at_once() {
    let text = "\
name: a b
version: {tag: v1, files: [{path: ../VERSION}], chagelog: x}
source:
  derived:
    wire: {run: [], inputs: [], outputs: [/etc/passwd], needs: [Python]}
archives: [{format: tar}, {format: zip, name: 'x-{version}.tar'}, {format: zip}, {format: zip}]
offline-proof: {build: make, poisoned: [/bin/sh]}
";
    let problems: Vec<String> = parse(text)
        .unwrap_err()
        .iter()
        .map(|d| {
            let advice = d.help.as_ref().or(d.expected.as_ref()).map_or("", String::as_str);
            format!("{}:{}: {} ({advice})", d.line, d.column, d.problem)
        })
        .collect();
    assert_eq!(
        problems,
        [
            "1:7: `a b` is not the name of a project (at most 64 letters, digits and `+ . _ -`, starting with a letter or digit)",
            "2:16: `v1` does not contain `{version}` (a text with `{version}` once, such as `v{version}`)",
            "2:35: the path `../VERSION` contains a `..` component (a path relative to the project and inside of it)",
            "2:49: unknown key `chagelog` (did you mean `changelog`?)",
            "5:17: the command has no program (a program and its arguments, such as `[make, check]`)",
            "5:29: the list of patterns is empty (patterns of the files that it reads)",
            "5:43: the pattern `/etc/passwd` is absolute (a pattern such as `tests/run-*.c`)",
            "5:65: `Python` is not a Debian package (the name of a package, such as `python3-mako`)",
            "6:21: `tar` is not the format of an archive (`tar.gz`, `tar.xz`, `tar.bz2` or `zip`)",
            "6:47: `x-{version}.tar` does not end with `.zip` (the ending of its format)",
            "6:91: two archives have the name `name-{version}.zip` (give one of them another `name`)",
            "7:24: found the text `make` instead of a list (write it as a list: `[make]`)",
            "7:41: `/bin/sh` is not the name of a program (a name without a directory, such as `python3`)",
        ]
    );
}

#[test]
fn versions_fit_into_file_names() {
    for good in ["0.3.0", "26.06rc1", "1.0~rc1", "0.3.0+git20260601.0123456789ab"] {
        assert_eq!(good.parse::<Version>().unwrap().as_str(), good);
    }
    for bad in ["", "v1", "1/2", "1..2", "1 2", "1\n"] {
        assert!(bad.parse::<Version>().is_err(), "{bad:?}");
    }
}

#[test]
fn crates_are_vendored_in_one_place() {
    let text = |source: &str, deb: &str| {
        format!(
            "name: x\nversion: {{}}\nsource:\n  {source}\narchives: [{{format: tar.xz}}]\n\
             deb:\n  maintainer: A B <a@example.org>\n  orig: tar.xz\n  revision: 0ubuntu1\n  \
             series: {{trixie: {{number: \"13\", distribution: debian}}}}\n{deb}"
        )
    };
    let release = parse(&text("vendor: {cargo: [Cargo.toml, a/b/Cargo.toml]}", "")).unwrap();
    let vendor = release.vendor.unwrap();
    assert_eq!(vendor.directory, "vendor");
    assert_eq!(vendor.locks().collect::<Vec<_>>(), ["Cargo.lock", "a/b/Cargo.lock"]);
    for (source, deb, expected) in [
        (
            "vendor: {cargo: [Cargo.toml]}",
            "  vendor: {cargo: [Cargo.toml]}\n",
            "11:11: the archives contain the crates already",
        ),
        ("vendor: {cargo: []}", "", "4:19: `cargo` is empty"),
        ("vendor: {cargo: [Cargo.lock]}", "", "4:20: `Cargo.lock` is not a Cargo manifest"),
        ("vendor: {cargo: [a-Cargo.toml]}", "", "4:20: `a-Cargo.toml` is not a Cargo manifest"),
        ("vendor: {cargo: [Cargo.toml], directory: ../x}", "", "4:44: the path `../x` contains a `..`"),
        ("vendor: {cargo: [Cargo.toml], directory: ''}", "", "4:44: the path `` is empty"),
        ("vendor: {}", "", "4:3: the required key `cargo` is missing"),
        (
            "submodules: true",
            "  vendor: {cargo: [Cargo.toml], directory: a/b}\n",
            "11:11: `a/b` cannot be the name of a tarball",
        ),
    ] {
        let problems = parse(&text(source, deb)).unwrap_err();
        let shown: Vec<String> = problems.iter().map(|d| format!("{}:{}: {}", d.line, d.column, d.problem)).collect();
        assert!(shown.len() == 1 && shown[0].starts_with(expected), "{source} {deb}: {shown:?}");
    }
}
