//! `cargo xtask release check`: everything that keeps a commit from being released, at once.

use super::loaded::Loaded;
use crate::cli;
use crate::commands::Context;
use crate::exit::Exit;
use drydock_base::output;
use drydock_release::preflight::{self, Finding};

impl cli::ReleaseCheck {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let findings = self.findings(ctx)?;
        match self.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(&findings)?),
            cli::Format::Text => findings.iter().for_each(|finding| output::out(shown(finding))),
        }
        Ok(exit(&findings))
    }

    /// Says only what does not hold.
    pub(super) fn quietly(self, ctx: &Context) -> anyhow::Result<Exit> {
        let findings = self.findings(ctx)?;
        let bad: Vec<&Finding> = findings.iter().filter(|finding| !finding.holds).collect();
        output::err(format_args!("== check: {} of {} things hold", findings.len() - bad.len(), findings.len()));
        bad.iter().for_each(|finding| output::err(shown(finding)));
        Ok(exit(&findings))
    }

    fn findings(&self, ctx: &Context) -> anyhow::Result<Vec<Finding>> {
        let loaded = Loaded::new(ctx, &self.of.commit)?;
        let mut findings = vec![Finding::good("the declaration is valid", "packaging/release.yaml")];
        let tree = match loaded.tree() {
            Ok(tree) => tree,
            // Without the sources nothing else can be said about them.
            Err(error) => {
                findings.push(Finding::bad("the sources are whole", format!("{error:#}"), "as it says"));
                findings.extend(preflight::packages(&loaded.release));
                findings.extend(self.clean(&loaded));
                return Ok(findings);
            }
        };
        let repositories = tree.repositories.len() - 1;
        findings.push(Finding::good(
            "the sources are whole",
            format!("{} files, {repositories} submodules, {} left out", tree.entries.len(), tree.left_out.len()),
        ));
        match loaded.version(&self.of, &tree)? {
            Ok(versioned) => {
                let name = versioned.tag.as_ref().map_or("none", |tag| tag.name.as_str());
                findings.push(Finding::good("a tag names the version", format!("{} ({name})", versioned.version)));
                // What has no release has no entry in the changelog, and its files hold the last version.
                if versioned.tag.is_some() {
                    findings.extend(preflight::version_files(&loaded.release, &tree, &versioned.version)?);
                    findings.extend(preflight::changelog(&loaded.release, &tree, &versioned.version)?);
                }
            }
            Err(finding) => findings.push(finding),
        }
        findings.extend(preflight::packages(&loaded.release));
        findings.extend(self.clean(&loaded));
        Ok(findings)
    }

    /// Whether what is in the work tree is what is released.
    fn clean(&self, loaded: &Loaded) -> Option<Finding> {
        if self.allow_dirty || loaded.repository.resolve("HEAD", "commit").as_ref() != Some(&loaded.commit) {
            return None;
        }
        let what = "the work tree has no changes";
        Some(match loaded.repository.changes() {
            Ok(changes) if changes.is_empty() => Finding::good(what, "none"),
            Ok(changes) => {
                let first: Vec<&str> = changes.iter().take(5).map(String::as_str).collect();
                let more = if changes.len() > 5 { format!(" and {} more", changes.len() - 5) } else { String::new() };
                let remedy = "commit them, or pass --allow-dirty: they will not be released";
                Finding::bad(what, format!("{}{more}", first.join(", ")), remedy)
            }
            // A bare repository has no work tree.
            Err(error) => {
                let is_bare = loaded.repository.ask(&["rev-parse", "--is-bare-repository"]);
                if is_bare.is_ok_and(|answer| answer == "true") {
                    Finding::good(what, "there is none")
                } else {
                    Finding::bad(what, error.to_string(), "as git says")
                }
            }
        })
    }
}

fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().all(|finding| finding.holds) { Exit::Success } else { Exit::CheckFailed }
}

fn shown(finding: &Finding) -> String {
    let mark = if finding.holds { "ok     " } else { "MISSING" };
    let mut text = format!("{mark}  {:<44} {}", finding.what, finding.found);
    if let Some(remedy) = &finding.remedy {
        text.push_str(&format!("\n           to do: {remedy}"));
    }
    text
}
