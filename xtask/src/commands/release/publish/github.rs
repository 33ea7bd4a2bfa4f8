//! A release on GitHub: a draft whose files are downloaded back and compared, which is published when everything else is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;

use anyhow::Context as _;

use super::publication::LocalRelease;
use crate::commands::release_context::ReleaseContext;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_base::{hint, output};
use drydock_config::debversion::{is_above, may_be_candidate};
use drydock_config::release::{Version, VersionText};
use drydock_config::release_notes::{NotesQuery, ReleaseNotes};
use drydock_github::{Api, Asset, NewRelease, Release, Settings};
use drydock_release::manifest::Tag;
use drydock_release::publish::{Conflict, ExpectedFile, Held, ObservedStep, Stage, Target, is_signature};
use drydock_release::sign::Incoming;

/// The steps beside the uploads of files.
const TAG: &str = "have the tag";
const CREATE: &str = "create the draft";
const NOTHING_ELSE: &str = "have nothing else";
const PUBLISH: &str = "publish the draft";
/// The largest file that is read back, as GitHub limits them, in bytes.
const LARGEST: u64 = 2 << 30;

/// A release on GitHub.
pub(super) struct GithubTarget {
    name: String,
    api: Api,
    has_token: bool,
    tag: Tag,
    tags: VersionText,
    version: Version,
    title: String,
    /// The text: the entry of the changelog.
    notes: String,
    expected: Vec<ExpectedFile>,
    from: PathBuf,
    /// What GitHub has, since the last look.
    found: Option<Found>,
    signatures: Vec<Incoming>,
}

/// The release as GitHub has it.
struct Found {
    release: Release,
    assets: Vec<Asset>,
    /// The checksums of whole files by the names, as they were downloaded.
    checksums: BTreeMap<String, (Checksum, u64)>,
}

impl GithubTarget {
    pub(super) fn new(name: String, repository: &str, local: &LocalRelease) -> anyhow::Result<GithubTarget> {
        let settings = Settings::new(&|variable| std::env::var_os(variable))?;
        let has_token = settings.token.is_some();
        let notice = |line: &str| output::announce(format_args!("{line}"));
        let api = Api::new(settings, repository.parse()?, notice)?;
        let declaration = local.release.declaration();
        Ok(GithubTarget {
            name,
            api,
            has_token,
            tag: local.manifest.tag.clone().context("a release has a tag")?,
            tags: declaration.tag.clone(),
            version: local.release.version.clone(),
            title: format!("{} {}", declaration.name, local.release.version),
            notes: notes(&local.release)?,
            expected: local.expected.clone(),
            from: local.directory.clone(),
            found: None,
            signatures: Vec::new(),
        })
    }

    /// Reads the release and its files. Of several with this tag, none is chosen.
    fn look(&mut self) -> anyhow::Result<Result<(), Conflict>> {
        (self.found, self.signatures) = (None, Vec::new());
        let all = self.api.releases()?;
        let mut ours: Vec<Release> = all.into_iter().filter(|release| release.tag_name == self.tag.name).collect();
        let Some(release) = ours.pop() else { return Ok(Ok(())) };
        if !ours.is_empty() {
            return Ok(Err(Conflict {
                found: format!("GitHub has {} releases with the tag {}", ours.len() + 1, self.tag.name),
                remedy: format!("delete all but one, such as {}", release.html_url),
            }));
        }
        let assets = self.api.assets(release.id)?;
        let scratch = Scratch::roomy("github")?;
        let mut checksums = BTreeMap::new();
        for asset in assets.iter().filter(|asset| asset.state == "uploaded") {
            if !self.expected.iter().any(|file| file.name == asset.name) && !is_signature(&asset.name) {
                continue;
            }
            let path = scratch.path().join(asset.id.to_string());
            let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
            self.api.asset(asset.id, &mut file, LARGEST)?;
            checksums.insert(asset.name.clone(), Checksum::from_file(&path)?);
            if is_signature(&asset.name) {
                let name = format!("{} of {}", asset.name, self.name);
                self.signatures.push(Incoming { name, content: fs::read(&path)? });
            }
        }
        self.found = Some(Found { release, assets, checksums });
        Ok(Ok(()))
    }

    /// The tag is what was signed: for a tag that it does not have, GitHub would make one, of the default branch.
    fn tag(&self) -> anyhow::Result<Held> {
        let push = hint::git(std::path::Path::new("."), &["push", "origin", &self.tag.name]);
        Ok(match self.api.tag(&self.tag.name)? {
            Some(object) if object == self.tag.object => Held::Same(object),
            Some(object) => Held::Other(Conflict {
                found: format!("the tag {} there is the object {object}, not {}", self.tag.name, self.tag.object),
                remedy: "a tag that was pushed never moves: find out who pushed it, and release a new version".into(),
            }),
            None => Held::Other(Conflict {
                found: format!("GitHub has no tag {}", self.tag.name),
                remedy: format!("push it: `{push}`"),
            }),
        })
    }

    fn draft(&mut self) -> anyhow::Result<Vec<ObservedStep>> {
        let one =
            |step: &str, held: Held| ObservedStep { step: step.to_owned(), stage: Stage::Draft, held, is_final: false };
        let mut steps = vec![one(TAG, self.tag()?)];
        if let Err(conflict) = self.look()? {
            steps.push(one(CREATE, Held::Other(conflict)));
            return Ok(steps);
        }
        let found = self.found.as_ref();
        steps.push(one(CREATE, found.map_or(Held::Absent, |found| Held::Same(found.release.html_url.clone()))));
        let names: BTreeSet<&str> = self.expected.iter().map(|file| file.name.as_str()).collect();
        let extra: Vec<&str> = found
            .iter()
            .flat_map(|found| &found.assets)
            .map(|asset| asset.name.as_str())
            .filter(|name| !names.contains(name) && !is_signature(name))
            .collect();
        if !extra.is_empty() {
            let found = format!("{} is there, which no release.json lists", extra.join(", "));
            let remedy = "remove it, or add it to the release before it is signed".to_owned();
            steps.push(one(NOTHING_ELSE, Held::Other(Conflict { found, remedy })));
        }
        steps.extend(self.expected.iter().map(|file| one(&upload(&file.name), held(file, found))));
        Ok(steps)
    }

    fn announce(&mut self) -> anyhow::Result<Vec<ObservedStep>> {
        if let Err(conflict) = self.look()? {
            let Conflict { found, remedy } = conflict;
            return Err(Failure::not_reproducible(format!("{found}; {remedy}")));
        }
        let held = match &self.found {
            Some(found) if !found.release.draft => Held::Same(found.release.html_url.clone()),
            Some(_) | None => Held::Absent,
        };
        Ok(vec![ObservedStep { step: PUBLISH.to_owned(), stage: Stage::Announce, held, is_final: true }])
    }

    /// Whether this becomes the latest release: neither a candidate nor older than another published one.
    fn is_latest(&self) -> anyhow::Result<bool> {
        let is_newer = |release: &Release| {
            let version = self.tags.version_in(&release.tag_name);
            !release.draft && !release.prerelease && version.is_some_and(|version| is_above(&version, &self.version))
        };
        Ok(!may_be_candidate(&self.version) && !self.api.releases()?.iter().any(is_newer))
    }
}

/// What GitHub holds of a file.
fn held(file: &ExpectedFile, found: Option<&Found>) -> Held {
    let Some(found) = found else { return Held::Absent };
    let Some(asset) = found.assets.iter().find(|asset| asset.name == file.name) else {
        return match found.release.immutable {
            false => Held::Absent,
            true => Held::Other(Conflict {
                found: "the release is published and immutable, without this file".into(),
                remedy: "it cannot be repaired: release a new version".into(),
            }),
        };
    };
    match found.checksums.get(&file.name) {
        Some(there) if *there == (file.sha256, file.size) => Held::Same(format!("{}, downloaded back", file.sha256)),
        // An upload that was cut leaves the name.
        None if found.release.draft => Held::Outdated(format!("its upload was cut (`{}`)", asset.state)),
        Some(_) if file.is_signature() && !found.release.immutable => {
            Held::Outdated("GitHub has other signatures".into())
        }
        Some(_) if file.is_signature() => Held::Same("GitHub has other signatures, which cannot be changed".into()),
        there => Held::Other(Conflict {
            found: match there {
                Some((sha256, size)) => {
                    format!("it has the SHA-256 {sha256} ({size} bytes) there, not {}", file.sha256)
                }
                None => format!("it is not whole there (`{}`)", asset.state),
            },
            remedy: if found.release.draft {
                format!("delete the draft {} if nobody needs its files", found.release.html_url)
            } else {
                "what was published is never replaced: release a new version".into()
            },
        }),
    }
}

/// The text of the release: the entry of the changelog as it is written, and how to verify the files.
///
/// # Errors
/// The declared changelog has no entry for the version.
fn notes(release: &ReleaseContext) -> anyhow::Result<String> {
    let verify = "Verify the files with SHA256SUMS and its signatures.";
    let Some(file) = &release.declaration().changelog else { return Ok(format!("{verify}\n")) };
    let content = release.tree.content(file)?.with_context(|| format!("the commit has no {file}"))?;
    let tag = release.tag.as_ref().map_or("", |tag| tag.name.as_str());
    let query = NotesQuery { file, version: release.version.as_str(), tag };
    let text = ReleaseNotes::text(&content, query).map_err(Failure::rejected)?;
    Ok(format!("{text}\n\n{verify}\n"))
}

fn upload(name: &str) -> String {
    format!("upload {name}")
}

impl Target for GithubTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !self.has_token {
            missing.push("set GH_TOKEN to a token with the permission `contents: write`".to_owned());
        }
        // GitHub gives files with other letters another name.
        let is_kept = |letter: char| letter.is_ascii_alphanumeric() || "._-+".contains(letter);
        for file in self.expected.iter().filter(|file| !file.name.chars().all(is_kept)) {
            missing.push(format!("GitHub would rename {}; declare another `name` for the archive", file.name));
        }
        missing
    }

    fn rights(&mut self) -> anyhow::Result<Option<String>> {
        self.api.may_write_releases(&self.tag.name)?;
        Ok(Some("the token may write releases".to_owned()))
    }

    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
        match stage {
            Stage::Draft => self.draft(),
            Stage::Files => Ok(Vec::new()),
            Stage::Announce => self.announce(),
        }
    }

    fn act(&mut self, step: &str) -> anyhow::Result<String> {
        if step == CREATE {
            let prerelease = may_be_candidate(&self.version);
            let new = NewRelease { tag: &self.tag.name, title: &self.title, body: &self.notes, prerelease };
            let release = self.api.create_draft(&new)?;
            let evidence = release.html_url.clone();
            self.found = Some(Found { release, assets: Vec::new(), checksums: BTreeMap::new() });
            return Ok(evidence);
        }
        if self.found.is_none() {
            // It was made by an earlier call, or by somebody else.
            self.look()?
                .map_err(|Conflict { found, remedy }| Failure::not_reproducible(format!("{found}; {remedy}")))?;
        }
        let gone = || Failure::Remote("the draft is gone; run the same command again".to_owned());
        let found = self.found.as_ref().ok_or_else(gone)?;
        if step == PUBLISH {
            return Ok(self.api.publish(found.release.id, self.is_latest()?)?.html_url);
        }
        let file = self.expected.iter().find(|file| upload(&file.name) == step).context("unknown step")?;
        if let Some(old) = found.assets.iter().find(|asset| asset.name == file.name) {
            self.api.delete_asset(old.id)?;
        }
        let path = self.from.join(&file.name);
        let content = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        self.api.upload(&found.release, &file.name, &content)?;
        Ok(file.sha256.to_string())
    }

    fn signatures(&self) -> Vec<Incoming> {
        self.signatures.clone()
    }
}
