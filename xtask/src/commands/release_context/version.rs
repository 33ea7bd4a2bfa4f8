//! The version of a commit: from its tag, from a version file, or from its place among releases.

use super::{DeclaredCommit, VersionError, VersionSource};
use drydock_base::failure::Failure;
use drydock_base::git::HistoryError;
use drydock_config::debversion::{is_above, place};
use drydock_config::release::{NightlyVersion, Version};
use drydock_release::manifest::Tag;
use drydock_release::preflight::Finding;

/// The requirement that `release check` reports.
pub(in crate::commands) const TAG_NAMES_VERSION: &str = "a tag names the version";

impl DeclaredCommit {
    /// The version, and the tag that names it.
    pub(in crate::commands) fn version(&self, source: &VersionSource) -> Result<(Version, Option<Tag>), VersionError> {
        match source {
            VersionSource::Tag(name) => {
                let (version, tag) = self.tagged(name.as_deref())?;
                Ok((version, Some(tag)))
            }
            VersionSource::Untagged(given) => Ok((self.untagged(given.as_ref())?, None)),
            VersionSource::Nightly(next) => Ok((self.nightly(next.as_ref())?, None)),
        }
    }

    /// The tag of this commit that names the highest version, if there is one.
    pub(in crate::commands) fn highest_tag(&self) -> anyhow::Result<Option<String>> {
        let highest = self.release_tags()?.into_iter().reduce(|a, b| if is_above(&b.0, &a.0) { b } else { a });
        Ok(highest.map(|(_, tag)| tag.name))
    }

    /// The tags of this commit that name versions.
    fn release_tags(&self) -> anyhow::Result<Vec<(Version, Tag)>> {
        let tags = self.repository.tags_of(&self.id).map_err(Failure::missing)?;
        let version = |name: &str| self.declaration.tag.version_in(name);
        let tags = tags.into_iter().map(|(name, object)| Tag { name, object: object.to_string() });
        Ok(tags.filter_map(|tag| Some((version(&tag.name)?, tag))).collect())
    }

    fn tagged(&self, wanted: Option<&str>) -> Result<(Version, Tag), VersionError> {
        let mut tags = self.release_tags()?;
        tags.retain(|(_, tag)| wanted.is_none_or(|wanted| wanted == tag.name));
        if tags.len() > 1 {
            let names: Vec<&str> = tags.iter().map(|(_, tag)| tag.name.as_str()).collect();
            let found = format!("several tags name versions: {}", names.join(", "));
            return Err(VersionError::Tag(Finding::bad(TAG_NAMES_VERSION, found, "name one with --tag")));
        }
        if let Some(only) = tags.pop() {
            return Ok(only);
        }
        let pattern = self.declaration.tag.to_string();
        let next = self.in_version_file()?.map(|version| self.declaration.tag.render(&version));
        let next = next.unwrap_or_else(|| self.declaration.tag.with("VERSION"));
        let commit = self.id.short();
        let fetch = if self.repository.is_shallow { "git fetch --tags (the clone is shallow), or " } else { "" };
        Err(VersionError::Tag(Finding::bad(
            TAG_NAMES_VERSION,
            match wanted {
                Some(wanted) => format!("{commit} has no tag {wanted} that matches `{pattern}`"),
                None => format!("no tag of {commit} matches `{pattern}`"),
            },
            format!("{fetch}git tag -s {next} {commit}, or pass --untagged for a trial"),
        )))
    }

    /// The version of the first version file, with the commit's date and abbreviated name. Without such a file, it begins with the
    /// highest release in the history, or as the given one does.
    fn untagged(&self, given: Option<&Version>) -> anyhow::Result<Version> {
        let place = format!("+git{}.{}", date(self.sources()?.epoch)?, self.id.short());
        let refused = |given: &Version| {
            let text = format!("{given} is not the version of a trial of {}", self.id.short());
            Failure::usage(format!("{text}; expected a version and `{place}`"))
        };
        let base = match (self.in_version_file()?, given) {
            (Some(version), _) => version.to_string(),
            (None, Some(given)) => {
                let base = given.as_str().strip_suffix(&place).filter(|base| !base.is_empty());
                base.ok_or_else(|| refused(given))?.to_owned()
            }
            (None, None) => self.last_release()?.map_or_else(|| "0".to_owned(), |version| version.to_string()),
        };
        let version: Version = format!("{base}{place}")
            .parse()
            .map_err(|bad| Failure::declaration(format!("cannot derive a version: {bad}")))?;
        match given.filter(|given| **given != version) {
            Some(given) => Err(refused(given)),
            None => Ok(version),
        }
    }

    /// The highest version that a tag in the history names.
    fn last_release(&self) -> Result<Option<Version>, drydock_base::exec::Error> {
        let tags = self.repository.tags_until(&self.id)?;
        let released = tags.iter().filter_map(|name| self.declaration.tag.version_in(name));
        Ok(released.reduce(|a, b| if is_above(&b, &a) { b } else { a }))
    }

    /// The version of a nightly of `next`, or `next` itself when it is that of a nightly of this commit.
    fn nightly(&self, next: Option<&Version>) -> anyhow::Result<Version> {
        // A clone without history cannot derive the version, so it may be given in full.
        if let Some((version, nightly)) = next.and_then(|next| Some((next, NightlyVersion::parse(next)?))) {
            if self.id.as_str().starts_with(&nightly.commit) {
                return Ok(version.clone());
            }
            let text = format!("{nightly} is a nightly of another commit than {}", self.id.short());
            return Err(Failure::usage(text));
        }
        let git = |why: HistoryError| Failure::missing(format!("cannot derive the version of the nightly: {why}"));
        let (number, newest) = self.repository.history(&self.id).map_err(git)?;
        let last = self.last_release().map_err(|error| git(error.into()))?;
        let next = match next.or(self.declaration.nightly.next.as_ref()) {
            Some(next) => next.clone(),
            // Without either, the one after the last release, as the check of that release said.
            None => self.in_version_file()?.or_else(|| last.as_ref()?.raised()).ok_or_else(|| {
                let text = "the next version is not known; declare `nightly: {next: VERSION}`, or pass --next";
                Failure::declaration(text)
            })?,
        };
        let place = place(&next, last.as_ref()).map_err(|why| {
            let remedy = "raise `nightly.next` in packaging/release.yaml, or pass --next VERSION";
            Failure::declaration(format!("{why}; {remedy}"))
        })?;
        let commit = self.id.as_str()[..NightlyVersion::DIGITS].to_owned();
        let version = NightlyVersion { place, day: date(newest)?, number, commit }.to_string();
        version.parse().map_err(|bad| Failure::declaration(format!("cannot derive the version of the nightly: {bad}")))
    }

    /// The version that the first version file holds.
    pub(in crate::commands) fn in_version_file(&self) -> anyhow::Result<Option<Version>> {
        let Some(file) = self.declaration.version_files.first() else { return Ok(None) };
        let tree = self.sources()?;
        let Some(entry) = tree.get(&file.path) else { return Ok(None) };
        let content = tree.reader().content(entry)?;
        let text = String::from_utf8_lossy(&content);
        Ok(file.held(&text).into_iter().next().map(|held| held.version))
    }
}

/// The date of a time in seconds since 1970, in UTC: `20260701`.
pub(super) fn date(epoch: u64) -> anyhow::Result<String> {
    Ok(jiff::Timestamp::from_second(i64::try_from(epoch)?)?.strftime("%Y%m%d").to_string())
}
