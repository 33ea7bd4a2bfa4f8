//! `cargo xtask deb build`: builds the binary packages with the tools of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::source_packages::{BuildOptions, SourcePackages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::{lock, threads};
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_config::release::deb::Series;
use drydock_deb::control;
use drydock_deb::unpacked_source::UnpackedSource;

impl cli::DebBuild {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.packages.of.into())?;
        let mut packages = SourcePackages::select(&release, &self.packages.series)?;
        let own = own_series();
        let is_own = |series: &&Series| Some(series.name.as_str()) == own.as_deref();
        let at = packages.series.iter().position(is_own).unwrap_or(0);
        packages.series = packages.series.into_iter().skip(at).take(1).collect();
        let _lock = lock(ctx)?;
        let options = BuildOptions { signer: None, with_origs: true, threads: threads(None), without_proof: None };
        let built = packages.build(&options)?;
        let one = built.first().context("no series is declared")?;

        let source = UnpackedSource::new(&packages.directory().join(&one.dsc))?;
        if let Some(error) = &source.failure {
            return Err(Failure::rejected(format!("cannot unpack {}: {}", one.dsc, error.output)));
        }
        let root = source.root();
        let control = fs::read_to_string(root.join("debian/control")).context("cannot read debian/control")?;
        let dependencies =
            control::parse(&control).ok().and_then(|all| all.first()?.line("Build-Depends")).unwrap_or_default();
        let run = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            output::announce(format_args!("{}", exec::paste(&argv)));
            exec::contained(&argv, root, exec::environment(&[], &BTreeMap::new()))
        };
        run(&["dpkg-checkbuilddeps"]).map_err(|why| {
            // The error output names the missing packages.
            let why = if let exec::Error::Exit { said, .. } = why { said } else { why.to_string() };
            Failure::missing(format!(
                "{why}; install them with `{}`",
                hint::apt_get(["satisfy", dependencies.as_str()])
            ))
        })?;
        let jobs = format!("-j{}", threads(None));
        run(&["dpkg-buildpackage", "-b", "-us", "-uc", "-nc", &jobs])
            .map_err(|why| Failure::rejected(format!("cannot build the packages: {why}")))?;
        let directory = packages.directory().join("local");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        for entry in fs::read_dir(root.parent().unwrap_or(Path::new("/"))).context("cannot read the build directory")? {
            let path = entry?.path();
            let extension = path.extension().unwrap_or_default();
            if ["deb", "ddeb", "buildinfo", "changes"].iter().any(|wanted| extension == *wanted) {
                let to = directory.join(path.file_name().unwrap_or_default());
                fs::copy(&path, &to).with_context(|| format!("cannot write {}", to.display()))?;
                if extension == "deb" {
                    output::out(to.display());
                }
            }
        }
        Ok(Exit::Success)
    }
}

/// The code name of the series that this machine runs.
fn own_series() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}
