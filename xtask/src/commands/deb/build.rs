//! `cargo xtask deb build`: the binary packages of this machine, by its own tools.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

use super::packages::{How, Packages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::{lock, threads};
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_deb::control;
use drydock_deb::unpacked;

impl cli::DebBuild {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.packages.of.into())?;
        let mut packages = Packages::select(&release, &self.packages.series)?;
        let own = own_series();
        let at = packages.series.iter().position(|series| Some(series.name.as_str()) == own.as_deref()).unwrap_or(0);
        packages.series = packages.series.into_iter().skip(at).take(1).collect();
        let _lock = lock(ctx)?;
        let how = How { signer: None, with_origs: true, threads: threads(None) };
        let made = packages.make(&how)?;
        let one = made.first().context("there is no series")?;

        let source = unpacked::unpack(&packages.directory().join(&one.dsc))?;
        if let Some(why) = &source.failure {
            return Err(Failure::rejected(format!("{} cannot be unpacked: {why}", one.dsc)));
        }
        let root = source.root();
        let control = fs::read_to_string(root.join("debian/control")).context("there is no debian/control")?;
        let needs =
            control::parse(&control).ok().and_then(|all| all.first()?.line("Build-Depends")).unwrap_or_default();
        let run = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            output::err(format_args!("== {}", exec::paste(&argv)));
            exec::bytes(&argv, root, exec::environment(&[], &BTreeMap::new()))
        };
        run(&["dpkg-checkbuilddeps"]).map_err(|why| {
            // It names the missing packages on its standard error.
            let why = if let exec::Error::Exit { stderr, .. } = why { stderr } else { why.to_string() };
            Failure::missing(format!("{why}; `apt-get satisfy '{needs}'` installs them"))
        })?;
        let jobs = format!("-j{}", threads(None));
        run(&["dpkg-buildpackage", "-b", "-us", "-uc", "-nc", &jobs])
            .map_err(|why| Failure::rejected(format!("the packages cannot be built: {why}")))?;
        let directory = packages.directory().join("local");
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        for entry in
            fs::read_dir(root.parent().unwrap_or(Path::new("/"))).context("cannot read the build's directory")?
        {
            let path = entry?.path();
            let ending = path.extension().unwrap_or_default();
            if ["deb", "ddeb", "buildinfo", "changes"].iter().any(|wanted| ending == *wanted) {
                let to = directory.join(path.file_name().unwrap_or_default());
                fs::copy(&path, &to).with_context(|| format!("cannot write {}", to.display()))?;
                if ending == "deb" {
                    output::out(to.display());
                }
            }
        }
        Ok(Exit::Success)
    }
}

/// The code name of this machine's series.
fn own_series() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(line.trim_matches('"').to_owned())
}
