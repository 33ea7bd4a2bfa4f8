//! Packages that violate a rule because of what the archive has, which a fake of Launchpad's API says. reprepro has accepted a
//! package of that kind before.

use std::cell::RefCell;

use serde_json::json;

use super::From::{Signed, Tree};
use super::Reprepro::{Accepts, Refuses};
use super::{FakeLaunchpad, From, Reprepro, Row};

/// What an archive has.
pub(super) struct State<'a> {
    launchpad: &'a FakeLaunchpad,
    owner: String,
    /// The script that changes the sources of the package that reprepro accepted before; none if it has no such state.
    before: RefCell<Option<&'static str>>,
}

impl<'a> State<'a> {
    pub(super) fn new(launchpad: &'a FakeLaunchpad, owner: &str, fill: fn(&State<'_>)) -> State<'a> {
        let state = State { launchpad, owner: owner.to_owned(), before: RefCell::new(None) };
        launchpad.respond(&state.archive(), &json!({"authorized_size": 8192}));
        launchpad.respond("/ubuntu/noble", &json!({"name": "noble", "status": "Supported"}));
        state.has(&[]);
        fill(&state);
        state
    }

    pub(super) fn ppa(&self) -> String {
        format!("{}/words", self.owner)
    }

    pub(super) fn before(&self) -> Option<&'static str> {
        *self.before.borrow()
    }

    fn archive(&self) -> String {
        format!("/~{}/+archive/ubuntu/words", self.owner)
    }

    /// Versions with their series and status.
    fn has(&self, versions: &[(&str, &str, &str)]) {
        let (archive, address) = (self.archive(), &self.launchpad.address);
        let entry = |(version, series, status): &(&str, &str, &str)| {
            json!({
                "self_link": format!("{address}{archive}/+sourcepub/1"),
                "source_package_version": version,
                "distro_series_link": format!("{address}/ubuntu/{series}"),
                "status": status,
            })
        };
        let entries: Vec<serde_json::Value> = versions.iter().map(entry).collect();
        let published = format!("{archive}?ws.op=getPublishedSources&exact_match=true&source_name=words");
        self.launchpad.respond(&published, &json!({"entries": entries}));
        self.files(&[]);
    }

    fn files(&self, files: &[(&str, &str)]) {
        let one = |(name, checksum): &(&str, &str)| json!({"url": format!("http://files/{name}"), "sha256": checksum});
        let files: Vec<serde_json::Value> = files.iter().map(one).collect();
        let path = format!("{}/+sourcepub/1?ws.op=sourceFileUrls&include_meta=true", self.archive());
        self.launchpad.respond(&path, &json!(files));
    }

    /// Changes the sources of the package that reprepro accepted before.
    fn before_is(&self, script: &'static str) {
        self.before.replace(Some(script));
    }
}

/// A row of `says` and `reprepro`, whose package is made by a script.
fn row(
    rule: &'static str,
    package: &'static str,
    from: From,
    script: &'static str,
    words: &'static str,
    reprepro: Reprepro,
) -> Row {
    Row { rule, package, from, script, words, reprepro, state: None }
}

fn with(fill: fn(&State<'_>), row: Row) -> Row {
    Row { state: Some(fill), ..row }
}

const OTHER_ORIG: &str = "sed -i '1s/1.0-1/1.0-0/' tree/debian/changelog; mkdir words-1.0; echo other >words-1.0/words.txt; cp words-1.0/words.txt tree; \
    tar -czf words_1.0.orig.tar.gz words-1.0; rm -r words-1.0";

pub(super) fn rows() -> [Row; 9] {
    [
        with(
            |state| {
                state.has(&[("1.0-0", "noble", "Deleted")]);
                state.files(&[("words_1.0.orig.tar.gz", &"0".repeat(64))]);
                state.before_is(OTHER_ORIG);
            },
            row(
                "same-bytes",
                "an orig tarball that the archive had with other bytes",
                Signed,
                "",
                "File words_1.0.orig.tar.gz already exists in the archive, but uploaded version has different contents",
                Refuses,
            ),
        ),
        with(
            |state| {
                state.has(&[("1.0-2", "noble", "Published")]);
                state.before_is("sed -i '1s/1.0-1/1.0-2/' tree/debian/changelog");
            },
            row(
                "higher-version",
                "a version below that of the series",
                Signed,
                "",
                "Version older than that in the archive. 1.0-1 <= 1.0-2",
                Refuses,
            ),
        ),
        with(
            |state| {
                state.has(&[("1:0.9-1", "noble", "Published")]);
                state.before_is("sed -i '1s/1.0-1/1:0.9-1/' tree/debian/changelog; cp words_1.0.orig.tar.gz words_0.9.orig.tar.gz; cp words_1.0.orig-data.tar.gz words_0.9.orig-data.tar.gz");
            },
            row(
                "higher-version",
                "a version without the epoch of the series",
                Signed,
                "",
                "Version older than that in the archive. 1.0-1 <= 1:0.9-1",
                Refuses,
            ),
        ),
        with(
            |state| state.has(&[("1.0-1", "noble", "Published")]),
            row(
                "new-version",
                "the version that the series has",
                Signed,
                "",
                "The source words - 1.0-1 is already accepted in ubuntu/noble",
                Accepts,
            ),
        ),
        with(
            |state| state.has(&[("1.0-1", "jammy", "Superseded")]),
            row(
                "new-version",
                "a version that another series had",
                Signed,
                "",
                "is already accepted in ubuntu/jammy",
                Accepts,
            ),
        ),
        with(
            |state| {
                state.has(&[("1.0-1", "noble", "Deleted")]);
            },
            row(
                "new-version",
                "a version that was deleted",
                Signed,
                "",
                "is already accepted in ubuntu/noble",
                Accepts,
            ),
        ),
        with(
            |state| state.launchpad.respond("/ubuntu/jammy", &json!({"name": "jammy", "status": "Obsolete"})),
            row(
                "obsolete-series",
                "a series that Launchpad closed",
                Tree,
                "sed -i '1s/noble/jammy/' tree/debian/changelog",
                "jammy is obsolete and will not accept new uploads",
                Refuses,
            ),
        ),
        with(
            |state| state.has(&[("0.9-1", "noble", "Published")]),
            row(
                "dsc-checksums",
                "no orig tarball, which the archive does not have",
                Signed,
                "drop $C $O",
                "Unable to find words_1.0.orig.tar.gz in upload or distribution",
                Refuses,
            ),
        ),
        with(
            |state| state.launchpad.respond(&state.archive(), &json!({"authorized_size": 0})),
            row("quota", "an archive that is full", Signed, "", "PPA exceeded its size limit", Accepts),
        ),
    ]
}
