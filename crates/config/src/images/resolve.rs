//! Declared → resolved: defaults applied, and everything checked that keeps nightlies and releases apart.

use std::collections::{BTreeMap, BTreeSet};

use super::declared::{
    BaseDeclaration, FromDeclaration, ImageDeclaration, ImageName, ImagesFile, LabelName, RepositoriesDeclaration,
    RetentionDeclaration, SmokeTestDeclaration, Text,
};
use super::{Base, From, Image, Images, Platform, Repositories, Repository, Retention, Runtime, SmokeTest, Tag, Value};
use crate::decode::{Entries, EnvName, Spanned};
use crate::diagnostic::{Place, Problem, Problems};
use crate::paths;
use drydock_base::text::quoted;
use drydock_base::units::BadValue;

/// Debian's archive of snapshots, with a placeholder for the timestamp.
const SNAPSHOTS: &str = "https://snapshot.debian.org/archive/debian/{snapshot}";

/// Resolves all valid images; the problems of the others are added to `problems`.
pub(super) fn images(file: ImagesFile, problems: &mut Problems) -> Images {
    let ImagesFile { repositories: shared, images: Spanned { place, value: declared } } = file;
    let Some(Entries(declared)) = declared else { return Images { images: Vec::new() } };
    if declared.is_empty() {
        problems.push(Problem::new(place, "`images` is empty").expected("at least one image with a `from`"));
    }
    let mut images = Vec::new();
    let mut taken: BTreeMap<Repository, String> = BTreeMap::new();
    for (name, declared) in declared {
        let (Some(image_name), Some(image)) = (name.value, declared.value) else { continue };
        let repositories = image.repositories.as_ref().or(shared.as_ref());
        let Some(repositories) = repositories else {
            let problem = Problem::new(name.place, format!("the image {image_name} has no `repositories`"));
            problems.push(problem.expected("`repositories: {nightly: …, release: …}`, here or at the top of the file"));
            continue;
        };
        let repositories = two(repositories, &image_name, &mut taken, problems);
        if let Some(resolved) = one(image_name, name.place, image, repositories, problems) {
            images.push(resolved);
        }
    }
    Images { images }
}

/// The two repositories of an image, neither of which is used twice.
fn two(
    declared: &Spanned<RepositoriesDeclaration>,
    image: &ImageName,
    taken: &mut BTreeMap<Repository, String>,
    problems: &mut Problems,
) -> Option<Repositories> {
    let RepositoriesDeclaration { nightly, release } = declared.value.as_ref()?;
    let (nightly_name, release_name) = (nightly.value.clone()?, release.value.clone()?);
    for (spanned, repository, role) in [(nightly, &nightly_name, "nightly"), (release, &release_name, "release")] {
        let mine = format!("the {role} images of {image}");
        if let Some(other) = taken.insert(repository.clone(), mine.clone()) {
            let problem = Problem::new(spanned.place, format!("{repository} is used for {other} and for {mine}"));
            problems
                .push(problem.help("give each its own repository, so that a nightly cannot be mistaken for a release"));
        }
    }
    Some(Repositories { nightly: nightly_name, release: release_name })
}

fn one(
    name: ImageName,
    place: Place,
    declared: ImageDeclaration,
    repositories: Option<Repositories>,
    problems: &mut Problems,
) -> Option<Image> {
    let from = declared.from.value.as_ref().and_then(|from| from_of(declared.from.place, from, problems));
    let base = declared.base.as_ref().map(|base| base_of(base, problems));
    if base.is_none() && matches!(from, Some(From::Debs { .. } | From::Archive { .. })) {
        let problem = Problem::new(place, format!("the image {name} has no `base`"));
        problems.push(problem.expected("`base: {image: …, digest: …}`, or `base: {suite: …, snapshot: …}`"));
    }
    let platforms = platforms(&declared.platforms, problems);
    let runtime = Runtime {
        entrypoint: declared.entrypoint.as_ref().and_then(|words| command(words, problems)),
        command: declared.command.as_ref().and_then(|words| {
            words.value.as_ref().map(|list| list.iter().filter_map(|word| word.value.clone()).collect())
        }),
        user: declared.user.as_ref().and_then(|user| user_of(user, problems)),
        directory: declared.directory.as_ref().and_then(|path| absolute(path, problems)),
        env: pairs(declared.env, |name: EnvName| name.0),
        ports: sorted(declared.ports.iter().filter_map(|port| Some(port.value.as_ref()?.0.clone()))),
        volumes: sorted(declared.volumes.iter().filter_map(|path| absolute(path, problems))),
    };
    let labels = pairs(declared.labels, |name: LabelName| name.0);
    let smoke_test = declared.smoke_test.value.and_then(|test| smoke_test(test, problems));
    Some(Image {
        name,
        repositories: repositories?,
        base: match base {
            Some(base) => Some(base?),
            None => None,
        },
        from: from?,
        platforms: platforms?,
        runtime,
        labels: labels.into_iter().map(|(name, value)| (name, Value(value))).collect(),
        smoke_test: smoke_test?,
        retention: retention(&declared.retention, problems),
    })
}

/// The base of an image, or of a binary tarball; problems are added to `problems`.
pub(crate) fn base_of(declared: &Spanned<BaseDeclaration>, problems: &mut Problems) -> Option<Base> {
    let BaseDeclaration { image, digest, suite, snapshot, mirror, packages } = declared.value.as_ref()?;
    match (image, suite) {
        (Some(image), None) => {
            for (what, place) in [
                ("snapshot", snapshot.as_ref().map(|text| text.place)),
                ("mirror", mirror.as_ref().map(|text| text.place)),
                ("packages", packages.first().map(|text| text.place)),
            ] {
                if let Some(place) = place {
                    problems
                        .push(Problem::new(place, format!("`{what}` applies only to a `suite`, not to an `image`")));
                }
            }
            let Some(digest) = digest else {
                let problem = Problem::new(image.place, "the base has no `digest`, so builds are not reproducible");
                problems.push(problem.expected("`digest: \"sha256:…\"`, as `skopeo inspect docker://IMAGE` prints it"));
                return None;
            };
            let text = image.value.as_ref()?;
            let (repository, tag) = match text.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
                Some(_) | None => (text.as_str(), None),
            };
            let mut good = |result: Result<(), BadValue>| match result {
                Ok(()) => {}
                Err(bad) => problems.push(Problem::bad_value(image.place, bad)),
            };
            let tag = tag.map(str::parse::<Tag>).transpose();
            good(tag.as_ref().map(drop).map_err(Clone::clone));
            let repository = repository.parse::<Repository>();
            good(repository.as_ref().map(drop).map_err(Clone::clone));
            Some(Base::Image { repository: repository.ok()?, tag: tag.ok()?, digest: digest.value? })
        }
        (None, Some(suite)) => {
            if let Some(digest) = digest {
                problems.push(Problem::new(digest.place, "`digest` applies only to an `image`, not to a `suite`"));
            }
            let letters = |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
            let name = checked(suite, letters, "the code name of a Debian series, such as `bookworm`", problems);
            let Some(snapshot) = snapshot else {
                let problem = Problem::new(suite.place, "the suite has no `snapshot`, so builds are not reproducible");
                problems.push(problem.expected("`snapshot: 20261101T000000Z`"));
                return None;
            };
            let moment = |text: &&String| jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text.as_str()).is_ok();
            let snapshot = checked(snapshot, moment, "a timestamp such as `20261101T000000Z`", problems);
            // The content of a server's archive without a timestamp changes from day to day; that of a local directory need not.
            let url = |text: &&String| {
                let is_remote = ["http://", "https://"].iter().any(|start| text.starts_with(start));
                let is_dated = is_remote && text.contains("{snapshot}");
                (is_dated || text.starts_with("file:///")) && !text.contains(char::is_whitespace)
            };
            let mirror = match mirror {
                Some(mirror) => checked(
                    mirror,
                    url,
                    "the URL of an archive: `http` or `https` with `{snapshot}` in it, or `file`",
                    problems,
                )?,
                None => SNAPSHOTS.to_owned(),
            };
            let snapshot = snapshot?;
            Some(Base::Suite {
                suite: name?,
                mirror: mirror.replace("{snapshot}", &snapshot),
                snapshot,
                packages: sorted(packages.iter().filter_map(|package| debian_package(package, problems))),
            })
        }
        (Some(_), Some(_)) | (None, None) => {
            let problem = Problem::new(declared.place, "a base needs either `image` or `suite`");
            problems.push(problem.expected("`{image: …, digest: …}`, or `{suite: …, snapshot: …}`"));
            None
        }
    }
}

fn from_of(place: Place, declared: &FromDeclaration, problems: &mut Problems) -> Option<From> {
    let FromDeclaration { debs, series, skip_scripts, archive, strip, into, dockerfile, args } = declared;
    let packages: Vec<String> =
        debs.iter().flat_map(|debs| &debs.0).filter_map(|package| debian_package(package, problems)).collect();
    if debs.as_ref().is_some_and(|debs| debs.0.is_empty()) {
        problems.push(Problem::new(place, "`debs` is empty").expected("at least one, such as `debs: [mine]`"));
    }
    if series.is_some() && debs.is_none() {
        problems.push(Problem::new(place, "`series` requires `debs`"));
    }
    if *skip_scripts && (debs.is_none() || dockerfile.is_some()) {
        problems.push(Problem::new(place, "`skip-scripts` requires `debs` without a `dockerfile`"));
    }
    if (strip.0 != 0 || into.value.as_deref() != Some("/")) && archive.is_none() {
        problems.push(Problem::new(place, "`strip` and `into` require an `archive`"));
    }
    if !args.0.is_empty() && dockerfile.is_none() {
        problems.push(Problem::new(place, "`args` require a `dockerfile`"));
    }
    let series = series.as_ref().and_then(|series| series.value.clone());
    match (debs, archive, dockerfile) {
        (Some(_), None, None) => Some(From::Debs { packages, series, skip_scripts: *skip_scripts }),
        (None, Some(archive), None) => {
            let path = inside(archive, problems)?;
            Some(From::Archive { path, strip: strip.0, into: absolute(into, problems)? })
        }
        (_, None, Some(dockerfile)) => {
            let args = args
                .0
                .iter()
                .filter_map(|(name, value)| Some((name.value.as_ref()?.0.clone(), Value(value.value.clone()?))));
            Some(From::Dockerfile { args: args.collect(), path: inside(dockerfile, problems)?, packages, series })
        }
        (_, Some(_), _) | (None, None, None) => {
            let problem = Problem::new(place, "an image needs exactly one source: `debs`, `archive` or `dockerfile`");
            problems.push(problem.expected("one of the three, or `dockerfile` with `debs` for its context"));
            None
        }
    }
}

fn platforms(declared: &Spanned<Vec<Spanned<Platform>>>, problems: &mut Problems) -> Option<Vec<Platform>> {
    let list = declared.value.as_ref()?;
    if list.is_empty() {
        problems.push(Problem::new(declared.place, "`platforms` is empty").expected("one such as `linux/amd64`"));
    }
    let mut seen = BTreeSet::new();
    for platform in list {
        if let Some(value) = platform.value {
            if !seen.insert(value) {
                problems.push(Problem::new(platform.place, format!("{value} is listed twice")).help("remove one"));
            }
        }
    }
    list.iter().map(|platform| platform.value).collect()
}

fn smoke_test(declared: SmokeTestDeclaration, problems: &mut Problems) -> Option<SmokeTest> {
    let run = command(&declared.run, problems);
    Some(SmokeTest {
        run: run?,
        expect: declared.expect.value?,
        timeout: declared.timeout.value?.0,
        memory: declared.memory.value?.0,
        disk: declared.disk.value?.0,
        processes: declared.processes.value?.0,
    })
}

fn retention(declared: &RetentionDeclaration, problems: &mut Problems) -> Retention {
    let keep = declared.keep.iter().filter_map(|text| match glob::Pattern::new(text.value.as_ref()?) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            problems.push(Problem::new(text.place, format!("the pattern is not valid: {}", error.msg)));
            None
        }
    });
    Retention { keep: keep.collect(), daily: declared.daily.0, weekly: declared.weekly.0 }
}

fn command(words: &Spanned<Vec<Text>>, problems: &mut Problems) -> Option<Vec<String>> {
    let list = words.value.as_ref()?;
    if list.first().is_none_or(|word| word.value.as_ref().is_some_and(|word| word.trim().is_empty())) {
        let problem = Problem::new(words.place, "the command has no program");
        problems.push(problem.expected("a program and its arguments, such as `[mine, --version]`"));
    }
    list.iter().map(|word| word.value.clone()).collect()
}

fn user_of(user: &Text, problems: &mut Problems) -> Option<String> {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let fits = |text: &&String| text.split(':').count() <= 2 && text.split(':').all(part);
    checked(user, fits, "a user, or a user and a group, such as `1000:1000`", problems)
}

fn debian_package(package: &Text, problems: &mut Problems) -> Option<String> {
    let fits = |text: &&String| {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        text.len() >= 2
            && text.bytes().all(|byte| letter(byte) || b"+.-".contains(&byte))
            && text.bytes().next().is_some_and(letter)
    };
    checked(package, fits, "the name of a Debian package, such as `libsodium23`", problems)
}

fn absolute(path: &Text, problems: &mut Problems) -> Option<String> {
    let fits = |text: &&String| {
        text.starts_with('/') && !text.chars().any(char::is_control) && !text.split('/').any(|part| part == "..")
    };
    checked(path, fits, "an absolute path in the image, such as `/var/lib/mine`", problems)
}

fn inside(text: &Text, problems: &mut Problems) -> Option<String> {
    let path = text.value.clone()?;
    paths::inside(&path).map_err(|bad| problems.push(Problem::bad_value(text.place, bad))).ok()?;
    Some(path)
}

fn checked(text: &Text, fits: impl Fn(&&String) -> bool, expected: &str, problems: &mut Problems) -> Option<String> {
    let value = text.value.as_ref()?;
    if fits(&value) {
        return Some(value.clone());
    }
    problems.push(Problem::new(text.place, format!("{} is not valid here", quoted(value))).expected(expected));
    None
}

fn pairs<K>(entries: Entries<K, Text>, key: impl Fn(K) -> String) -> BTreeMap<String, String> {
    entries.0.into_iter().filter_map(|(name, value)| Some((key(name.value?), value.value?))).collect()
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<BTreeSet<_>>().into_iter().collect()
}
