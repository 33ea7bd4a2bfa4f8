//! `cargo xtask deb source`: builds a source package for each series.

use super::source_packages::{BuildOptions, SourcePackages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::{lock, threads};
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::hint;
use drydock_base::output;
use drydock_deb::sign::Signer;

impl cli::DebSource {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.packages.of.clone().into())?;
        self.build(&SourcePackages::select(&release, &self.packages.series)?)
    }

    /// Builds the packages and prints their paths.
    pub(super) fn build(&self, packages: &SourcePackages<'_>) -> anyhow::Result<Exit> {
        if self.dry_run {
            return self.plan(packages);
        }
        let _lock = lock(packages.release.ctx())?;
        let signer = self.signer(packages);
        let options = BuildOptions {
            signer: signer.as_ref(),
            with_origs: !self.without_orig,
            threads: threads(self.threads),
            without_proof: None,
        };
        let built = packages.build(&options)?;
        if self.format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(&built)?);
            return Ok(Exit::Success);
        }
        for one in &built {
            output::out(format_args!("{:<10} {}", one.series, packages.directory().join(&one.changes).display()));
        }
        if signer.is_none() {
            output::err(format_args!(
                "note: the packages are not signed; `{}` signs them, or use --sign",
                hint::drydock(&["deb", "upload"])
            ));
        }
        Ok(Exit::Success)
    }

    fn signer(&self, packages: &SourcePackages<'_>) -> Option<Signer> {
        let declared = || packages.target().and_then(|target| target.key.clone());
        (self.sign || self.key.is_some()).then(|| Signer { key: self.key.clone().or_else(declared) })
    }

    fn plan(&self, packages: &SourcePackages<'_>) -> anyhow::Result<Exit> {
        let versions: Vec<(String, String)> = packages
            .series
            .iter()
            .map(|series| Ok((series.name.as_str().to_owned(), packages.version(series)?.to_string())))
            .collect::<anyhow::Result<_>>()?;
        if self.format == cli::Format::Json {
            let plan = serde_json::json!({
                "upstream": packages.upstream,
                "commit": packages.release.commit.id.as_str(),
                "versions": versions.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "into": packages.directory(),
            });
            output::out(serde_json::to_string_pretty(&plan)?);
            return Ok(Exit::Success);
        }
        output::out(format_args!("source packages of {} ({})", packages.upstream, packages.release.commit.id.short()));
        for (series, version) in versions {
            output::out(format_args!("  {series:<10} {version}"));
        }
        output::out(format_args!("  into       {}", packages.directory().display()));
        Ok(Exit::Success)
    }
}
