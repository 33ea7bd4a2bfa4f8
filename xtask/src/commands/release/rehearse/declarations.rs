//! The declarations of a rehearsal: those of the project, with every place outside of this machine replaced by a stand-in. What has no
//! stand-in, or whose stand-in is not installed, is left out and named.

use std::path::Path;

use super::servers::{Needed, Servers};
use super::yaml::Yaml;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::paths::State;
use drydock_config::release::{FileAccess, PublishTarget, Release};

/// The targets of a project that declares none, in the order of a release.
const DEFAULT_TARGETS: [&str; 5] = ["directory", "sftp", "deb", "images", "github"];

/// The declarations, and what is not rehearsed.
#[derive(Debug)]
pub(super) struct Rewritten {
    /// The text of `packaging/release.yaml`.
    pub(super) release: String,
    /// The text of `docker/images.yaml`.
    pub(super) images: Option<String>,
    /// What is not rehearsed, each with the reason.
    pub(super) left_out: Vec<String>,
    /// The kinds of the targets.
    pub(super) kinds: Vec<String>,
    /// The directory with their keys, relative to the project.
    pub(super) keys: String,
}

/// Rewrites the declarations; servers are started as they are needed, and what stand-ins are built on is put into `state`.
///
/// # Errors
/// A declaration cannot be read, or a server cannot be started.
pub(super) fn rewrite(
    release: &str,
    images: Option<&str>,
    servers: &mut Servers,
    state: &State,
) -> anyhow::Result<Rewritten> {
    let unreadable = || Failure::declaration("packaging/release.yaml cannot be read again");
    let mut document = Yaml::parse(release).ok_or_else(unreadable)?;
    let mut left_out = Vec::new();
    let declared: Vec<(String, Yaml)> = match document.get("publish") {
        Some(Yaml::List(list)) => list.iter().filter_map(kind_of).collect(),
        _ => {
            let has = |kind: &str| match kind {
                "deb" => document.get("deb").is_some(),
                "images" => images.is_some(),
                _ => true,
            };
            let defaults = DEFAULT_TARGETS.iter().filter(|kind| has(kind));
            defaults.map(|kind| ((*kind).to_owned(), default_target(kind))).collect()
        }
    };
    let mut targets = Vec::new();
    let mut kinds = Vec::new();
    for (at, (kind, target)) in declared.into_iter().enumerate() {
        if target.get("url").is_some() {
            left_out.push(format!("{kind}: what its web server offers"));
        }
        match servers.target(&kind, &target, at)? {
            Ok(target) => {
                targets.push(Yaml::Map(vec![(kind.clone(), target)]));
                kinds.push(kind);
            }
            Err(missing) => left_out.push(format!("{kind}: {}", shown(&missing))),
        }
    }
    if kinds.iter().any(|kind| kind == "deb") {
        let upload = servers.queue();
        if let Some(deb) = document.get_mut("deb") {
            if deb.get("upload").and_then(|upload| upload.get("target")).and_then(Yaml::as_text) == Some("ppa") {
                left_out
                    .push("deb: the builders of Launchpad; the archive of the rehearsal takes the sources".to_owned());
            }
            deb.set("upload", upload);
        }
    }
    super::binaries::stand_in(&mut document, state, &mut left_out)?;
    // Nightly builds have places of their own, which no part of a release uses.
    if let Some(nightly) = document.get_mut("nightly") {
        nightly.remove("upload");
    }
    let signing = document.get("signing");
    let word = |key: &str| signing.and_then(|signing| signing.get(key)).and_then(Yaml::as_text).map(str::to_owned);
    let keys = word("keys").unwrap_or_else(|| "packaging/keys".to_owned());
    let quorum = word("quorum").and_then(|quorum| quorum.parse().ok()).unwrap_or(1).max(1);
    document.set("signing", Yaml::map([("keys", Yaml::text(&keys)), ("quorum", Yaml::Plain(quorum.to_string()))]));
    document.set("publish", Yaml::List(targets));
    let images = images.and_then(|text| {
        let mut document = Yaml::parse(text)?;
        let registry = servers.registry()?;
        let repositories = |of: &str| {
            let place = |kind: &str| Yaml::text(format!("{registry}/rehearsal/{of}{kind}"));
            Yaml::map([("nightly", place("nightly")), ("release", place("release"))])
        };
        if document.get("repositories").is_some() {
            document.set("repositories", repositories(""));
        }
        if let Some(Yaml::Map(images)) = document.get_mut("images") {
            for (name, image) in images.iter_mut().filter(|(_, image)| image.get("repositories").is_some()) {
                image.set("repositories", repositories(&format!("{name}/")));
            }
        }
        Some(document.document())
    });
    let release = document.document();
    let parsed = Release::parse(&release, Path::new("packaging/release.yaml"))?;
    require_local(&parsed, servers.results())?;
    Ok(Rewritten { release, images, left_out, kinds, keys })
}

fn kind_of(target: &Yaml) -> Option<(String, Yaml)> {
    let Yaml::Map(map) = target else { return None };
    map.first().cloned()
}

fn default_target(kind: &str) -> Yaml {
    match kind {
        "directory" => Yaml::map([("path", Yaml::text("/srv/www/{version}")), ("latest", Yaml::Plain("true".into()))]),
        "sftp" => Yaml::map([("host", Yaml::text("mirror")), ("path", Yaml::text("/srv/mirror/{version}"))]),
        "github" => Yaml::map([("repository", Yaml::text("rehearsal/release"))]),
        _ => Yaml::Map(Vec::new()),
    }
}

fn shown(missing: &[Needed]) -> String {
    let names: Vec<&str> = missing.iter().map(|needed| needed.name).collect();
    let packages: Vec<&str> = missing.iter().filter(|needed| !needed.is_python).map(|needed| needed.package).collect();
    let python: Vec<&str> = missing.iter().filter(|needed| needed.is_python).map(|needed| needed.package).collect();
    let mut remedies = Vec::new();
    if !packages.is_empty() {
        remedies.push(format!("`{}`", hint::apt_get(["install"]).args(packages)));
    }
    remedies.extend(python.iter().map(|package| format!("`pipx install {package}`")));
    let is = if names.len() == 1 { "is" } else { "are" };
    format!(
        "{} {is} not installed; install {} with {}",
        names.join(", "),
        if names.len() == 1 { "it" } else { "them" },
        remedies.join(" and ")
    )
}

/// Fails unless every target is on this machine, whatever was rewritten.
fn require_local(release: &Release, results: &Path) -> anyhow::Result<()> {
    let results = results.display().to_string();
    for target in &release.publish {
        let is_local = match target {
            PublishTarget::Files(files) => match &files.access {
                FileAccess::Local => files.path.to_string().starts_with(&results),
                FileAccess::Sftp { host, .. } => host.starts_with("127.0.0.1:"),
                FileAccess::Rsync => files.path.to_string().starts_with("rsync://127.0.0.1:"),
            },
            PublishTarget::Pypi(pypi) => [&pypi.index, &pypi.candidates]
                .iter()
                .all(|index| [&index.upload, &index.simple].iter().all(|url| url.starts_with("http://127.0.0.1:"))),
            // Their addresses are in the environment, in `deb.upload` and in `docker/images.yaml`.
            PublishTarget::Deb { .. } | PublishTarget::Images(_) | PublishTarget::Github(_) => true,
        };
        anyhow::ensure!(is_local, "the target {} is not on this machine; nothing was rehearsed", target.name());
    }
    let upload = release.deb.as_ref().and_then(|deb| deb.upload.as_ref());
    let is_local = upload.is_none_or(|target| match &target.place {
        drydock_config::release::deb::Place::Queue { .. } => true,
        drydock_config::release::deb::Place::Ppa { .. } => {
            !release.publish.iter().any(|one| matches!(one, PublishTarget::Deb { .. }))
        }
    });
    anyhow::ensure!(is_local, "`deb.upload` is not on this machine; nothing was rehearsed");
    Ok(())
}
