//! The situation of a release: everything that the states of its acts depend on, gathered once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{ActId, Progress};
use crate::commands::deb::source_packages::SourcePackages;
use crate::commands::release::check::{self, Checked, signing};
use crate::commands::release::policy::SigningPolicy;
use crate::commands::release::publish::Options;
use crate::commands::release::publish::publication::Publication;
use crate::commands::release_context::{DeclaredCommit, ReleaseContext, ReleaseSelector, TAG_NAMES_VERSION};
use crate::commands::{Context, now};
use drydock_base::failure::Failure;
use drydock_base::text::plural;
use drydock_config::debversion::is_above;
use drydock_config::release::{PublishTarget, Version};
use drydock_release::manifest::Tag;
use drydock_release::preflight::{self, Finding};
use drydock_release::publish::{Action, JournalEvent};

/// The names of the announcement in the journal.
const ANNOUNCEMENT: (&str, &str) = ("announcement", "announce");

/// The situation of a release.
#[derive(Debug, Clone)]
pub(in crate::commands::release) struct Situation {
    pub(in crate::commands::release) name: String,
    /// The version, or the one that the version files have.
    pub(in crate::commands::release) version: String,
    /// The version for `release bump`, if that is what is next.
    pub(super) next_version: String,
    /// The tag, or the one that is to be made.
    pub(in crate::commands::release) tag: String,
    /// The commit, abbreviated.
    pub(in crate::commands::release) commit: String,
    pub(super) project: PathBuf,
    /// The directory of the files.
    pub(in crate::commands::release) directory: String,
    /// The key of the clone's `user.signingKey`.
    pub(super) key: Option<String>,
    pub(in crate::commands::release) findings: Vec<Finding>,
    pub(super) bumped: Progress,
    pub(super) tagged: Progress,
    pub(super) built: Progress,
    pub(super) proved: Progress,
    pub(super) packages: Progress,
    pub(super) images: Progress,
    pub(in crate::commands::release) quorum: u32,
    pub(in crate::commands::release) signed_by: BTreeSet<String>,
    /// The people with a valid key.
    pub(in crate::commands::release) people: BTreeSet<String>,
    pub(super) published: Progress,
    pub(super) announced: Progress,
    pub(super) begun: Progress,
}

/// Whether the tag of a release is signed, by the finding about that.
fn tagged(tag: &Tag, findings: &[Finding]) -> Progress {
    let shown = format!("{} ({})", tag.name, tag.object.get(..12).unwrap_or(&tag.object));
    match findings.iter().find(|finding| finding.what == signing::is_signed(tag)) {
        Some(finding) if finding.holds => Progress::Done(format!("{shown}, {}", finding.found)),
        Some(finding) => open(format!("{shown}: {}", finding.found)),
        None => Progress::Done(format!("{shown}; no keys are declared that its signature could be checked against")),
    }
}

fn open(why: impl Into<String>) -> Progress {
    Progress::Open(why.into())
}

impl Situation {
    /// A situation in which nothing is known.
    pub(in crate::commands::release) fn unknown(name: &str) -> Situation {
        let nothing = || open("not known");
        Situation {
            name: name.to_owned(),
            version: "VERSION".into(),
            next_version: "VERSION".into(),
            tag: "TAG".into(),
            commit: "COMMIT".into(),
            project: ".".into(),
            directory: "DIR".into(),
            key: None,
            findings: Vec::new(),
            bumped: nothing(),
            tagged: nothing(),
            built: nothing(),
            proved: nothing(),
            packages: nothing(),
            images: nothing(),
            quorum: 1,
            signed_by: BTreeSet::new(),
            people: BTreeSet::new(),
            published: nothing(),
            announced: nothing(),
            begun: nothing(),
        }
    }

    /// Gathers the situation. Targets and GitHub are asked unless `is_offline`; nothing is changed.
    pub(in crate::commands::release) fn gather(
        ctx: &Context,
        selector: &ReleaseSelector,
        options: &Options,
        is_offline: bool,
    ) -> anyhow::Result<Situation> {
        let commit = DeclaredCommit::resolve(ctx, &selector.revision)?;
        let mut situation = Situation::unknown(&commit.declaration.name);
        situation.commit = commit.id.short().to_owned();
        situation.project = ctx.declarations.project.clone();
        situation.key = commit.repository.setting("user.signingkey");
        // Keys that cannot be used are a finding of the check below.
        if let Ok(Some(policy)) = SigningPolicy::of_commit(&commit) {
            situation.quorum = policy.quorum;
            situation.people = policy.keyring.usable(now()).into_iter().map(str::to_owned).collect();
        }
        let Checked { findings, version } = check::check(&commit, &selector.version, true)?;
        situation.findings = findings;
        let Some((version, Some(tag))) = version else {
            return situation.before_the_tag(&commit);
        };
        situation.version = version.to_string();
        situation.tag = tag.name.clone();
        situation.bumped = Progress::Done(format!("{version} is tagged"));
        situation.tagged = tagged(&tag, &situation.findings);
        situation.begun = begun(ctx, &version)?;
        if let (Some(ci), false) = (&commit.declaration.ci, is_offline) {
            situation.findings.push(check::remote::ci(ci, commit.id.as_str()));
        }
        let release = commit.release_of(version, Some(tag))?;
        situation.directory = release.directory().display().to_string();
        situation.files(&release)?;
        situation.targets(ctx, selector, options, is_offline);
        Ok(situation)
    }

    /// Without a tag: whether the version files are ready for one.
    fn before_the_tag(mut self, commit: &DeclaredCommit) -> anyhow::Result<Situation> {
        let tag = self.findings.iter().find(|finding| finding.what == TAG_NAMES_VERSION || !finding.holds);
        self.tagged = open(tag.map_or("there is no tag at the commit", |finding| finding.found.as_str()));
        let Some(version) = commit.in_version_file()? else {
            self.bumped = Progress::Done("no version file is declared".into());
            return Ok(self);
        };
        let released = commit.releases()?.into_iter().find(|one| !is_above(&version, &one.version));
        self.version = version.to_string();
        self.tag = commit.declaration.tag.render(&version);
        self.next_version = match (&released, &commit.declaration.nightly.next) {
            (_, Some(next)) => next.to_string(),
            (Some(_), None) => version.raised().map_or_else(|| "VERSION".into(), |raised| raised.to_string()),
            (None, None) => version.to_string(),
        };
        if let Some(released) = released {
            self.bumped = open(format!("the version is {version}, and {} is released", released.version));
            return Ok(self);
        }
        let tree = commit.sources()?;
        let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(now())?).date();
        let between = preflight::Between { earliest: None, latest: today };
        let mut findings = preflight::version_files(&commit.declaration, tree, &version)?;
        findings.extend(preflight::changelog(&commit.declaration, tree, &version, between)?);
        self.bumped = match findings.iter().find(|finding| !finding.holds) {
            None => Progress::Done(format!("version files and changelog have {version}")),
            Some(finding) => open(format!("{}: {}", finding.what, finding.found)),
        };
        Ok(self)
    }

    /// What is here of the release.
    fn files(&mut self, release: &ReleaseContext) -> anyhow::Result<()> {
        let directory = release.directory();
        let published = release.published(&directory);
        self.built = match published.manifest() {
            Some(manifest) => match published.lacks_files(&manifest) {
                Some(why) => open(why),
                None => {
                    let names = manifest.binaries.iter().flat_map(|record| &record.artifacts);
                    let binaries: String = names.map(|name| format!(", {name}")).collect();
                    let archives = plural(manifest.artifacts.len(), "archive");
                    let files = plural(manifest.entries.len(), "file");
                    Progress::Done(format!("{archives} of {files}{binaries}"))
                }
            },
            None => open(format!("{} has no intact files of this commit", directory.display())),
        };
        self.proved =
            published.lacks_proof().map_or_else(|| Progress::Done("proof.json is about these files".into()), open);
        let targets = &release.declaration().publish;
        if targets.iter().any(|one| matches!(one, PublishTarget::Deb { .. })) {
            self.packages = packages(release).unwrap_or_else(|error| open(format!("{error:#}")));
        }
        let images = targets.iter().find_map(|one| match one {
            PublishTarget::Images(images) => Some(images),
            _ => None,
        });
        if let Some(chosen) = images {
            let declared = release.commit.images()?;
            let names = declared.images.iter().map(|image| image.name.to_string());
            let missing: Vec<String> = names
                .filter(|name| chosen.is_empty() || chosen.contains(name))
                .filter(|name| !directory.join("oci").join(name).join("build.json").is_file())
                .collect();
            self.images = if missing.is_empty() {
                Progress::Done("all images are built".into())
            } else {
                open(format!("not built: {}", missing.join(", ")))
            };
        }
        Ok(())
    }

    /// What targets have, who signed, and what the journal says.
    fn targets(&mut self, ctx: &Context, selector: &ReleaseSelector, options: &Options, is_offline: bool) {
        if matches!(self.built, Progress::Open(_)) {
            self.published = open("nothing was built here");
            self.announced = open("it is not published");
            return;
        }
        // The proof is an act of its own here.
        let without = Some("it is only looked at".to_owned());
        let options =
            Options { without_proof: without, key: options.key.clone(), api: options.api.clone(), drafts: false };
        let mut publication = match Publication::observe(ctx, selector) {
            Ok(publication) => publication,
            Err(error) => {
                self.published = open(format!("{error:#}"));
                return;
            }
        };
        self.signed_by.clone_from(&publication.signed_by);
        self.quorum = publication.policy.quorum;
        let records = publication.journal.records.iter().rev();
        let announced = records.clone().find(|one| (one.target.as_str(), one.step.as_str()) == ANNOUNCEMENT);
        self.announced = match announced {
            Some(record) => Progress::Done(format!("{} at {}", record.text, record.when())),
            None => open("no announcement is recorded"),
        };
        if is_offline {
            self.published = open("the targets were not asked");
            return;
        }
        self.published = match publication.plan(&options, false) {
            Err(error) => open(format!("{error:#}")),
            Ok(decisions) => {
                let left: Vec<String> = decisions
                    .iter()
                    .filter_map(|one| match &one.action {
                        Action::Keep(_) => None,
                        Action::Act(_) => Some(format!("{}: {}", one.target, one.step)),
                        Action::Refuse(found, _) => Some(format!("{}: {}: REFUSED: {found}", one.target, one.step)),
                    })
                    .collect();
                match left.as_slice() {
                    [] => Progress::Done(format!("{}, all of which were read back", plural(decisions.len(), "step"))),
                    [first, rest @ ..] => open(format!("{first}{}", and_more(rest.len()))),
                }
            }
        };
    }

    /// Whether all findings hold.
    pub(super) fn checked(&self) -> Progress {
        let bad: Vec<&Finding> = self.findings.iter().filter(|finding| !finding.holds).collect();
        match bad.as_slice() {
            [] if self.findings.is_empty() => open("nothing was checked"),
            [] => Progress::Done("everything that is checked here holds".to_owned()),
            [first, rest @ ..] => open(format!("{}: {}{}", first.what, first.found, and_more(rest.len()))),
        }
    }

    /// Whether enough people have signed.
    pub(super) fn approved(&self) -> Progress {
        let signed: Vec<&str> = self.signed_by.iter().map(String::as_str).collect();
        let text = format!("{} of {} people have signed", signed.len(), self.quorum);
        let text = if signed.is_empty() { text } else { format!("{text}: {}", signed.join(", ")) };
        if signed.len() >= self.quorum.max(1) as usize { Progress::Done(text) } else { open(text) }
    }

    /// Whose turn an act is.
    pub(super) fn turn(&self, act: ActId) -> Vec<String> {
        match act {
            ActId::Approve => self.people.difference(&self.signed_by).cloned().collect(),
            _ => vec!["the captain".to_owned()],
        }
    }
}

fn and_more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", and {count} more") }
}

/// Whether HEAD declares a version above a released one.
fn begun(ctx: &Context, version: &Version) -> anyhow::Result<Progress> {
    let head = DeclaredCommit::resolve(ctx, "HEAD")?;
    let declared = head.declaration.nightly.next.clone();
    let found = match declared {
        Some(next) => Some(next),
        None => head.in_version_file()?,
    };
    Ok(match found {
        Some(next) if is_above(&next, version) => Progress::Done(format!("HEAD declares {next}")),
        Some(next) => open(format!("HEAD declares {next}")),
        None => open("HEAD declares no version"),
    })
}

/// Whether packages of all series are made and proved.
fn packages(release: &ReleaseContext) -> anyhow::Result<Progress> {
    let packages = SourcePackages::select(release, &[])?;
    let mut lacks = Vec::new();
    for series in packages.series.iter().copied() {
        match packages.built_for(series) {
            Err(_) => lacks.push(format!("{} is not made", series.name.as_str())),
            Ok(built) if packages.proof(&built).is_none() => {
                lacks.push(format!("{} is not proved", series.name.as_str()));
            }
            Ok(_) => {}
        }
    }
    Ok(if lacks.is_empty() {
        Progress::Done(format!("proved: {}", plural(packages.series.len(), "package")))
    } else {
        open(lacks.join(", "))
    })
}

/// Records where a published release was announced.
///
/// # Errors
/// It is not published, or the journal cannot be written.
pub(in crate::commands::release) fn announce(
    ctx: &Context,
    selector: &ReleaseSelector,
    options: &Options,
    address: &str,
) -> anyhow::Result<()> {
    let situation = Situation::gather(ctx, selector, options, false)?;
    if let Progress::Open(why) = &situation.published {
        return Err(Failure::rejected(format!("{} {} is not published: {why}", situation.name, situation.version)));
    }
    let mut publication = Publication::observe(ctx, selector)?;
    let (target, step) = ANNOUNCEMENT;
    publication.journal.add(target, step, JournalEvent::Done, address.to_owned())
}
