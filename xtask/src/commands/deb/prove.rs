//! `cargo xtask deb prove`: built twice without a network, compared, installed and tried.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::check::today;
use super::packages::{Made, Packages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use crate::tools::Purpose;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths;
use drydock_config::release::deb::{Distribution, Series};
use drydock_deb::prove::{self, Builder, Chroots, Mirrors, Proof, Request};
use drydock_deb::series;

/// The file with a proof.
pub(in crate::commands) const NAME: &str = "proof.json";

/// One package to prove.
struct Wanted {
    dsc: PathBuf,
    series: String,
    distribution: Distribution,
    prove_on: Option<String>,
    smoke_test: Option<Vec<String>>,
    directory: PathBuf,
}

/// The user, the chroots and the mirrors that packages are proved with.
pub(in crate::commands) struct ProofEnvironment {
    /// The unprivileged user who builds, when this process is root.
    pub(in crate::commands) user: String,
    /// The directory of the chroots.
    pub(in crate::commands) chroots: PathBuf,
    pub(in crate::commands) mirrors: Mirrors,
}

impl cli::DebProve {
    pub(in crate::commands) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        super::super::doctor::preflight(Purpose::Deb, false)?;
        let (wanted, state) = if self.files.is_empty() {
            let ctx = Context::find(place)?;
            let release = ReleaseContext::resolve(&ctx, &self.packages.of.into())?;
            let packages = Packages::select(&release, &self.packages.series)?;
            (of_project(&packages)?, ctx.state.root().to_owned())
        } else {
            let wanted = self.files.iter().map(|file| of_file(file)).collect::<anyhow::Result<_>>()?;
            let state = place.state.clone().unwrap_or_else(|| std::env::temp_dir().join("drydock-chroots"));
            (wanted, state)
        };
        let tell = |proof: &Proof| {
            if self.format == cli::Format::Text {
                tell(proof)
            }
        };
        let proofs = self.places.environment(&state).prove(&wanted, tell)?;
        if self.format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(&proofs)?);
        }
        let same = proofs.iter().all(|proof| proof.differing.is_empty());
        Ok(if same { Exit::Success } else { Exit::NotReproducible })
    }
}

impl ProofEnvironment {
    /// Proves packages that were made, and writes the proofs beside them.
    pub(in crate::commands) fn prove_packages(&self, packages: &Packages<'_>) -> anyhow::Result<Vec<Proof>> {
        self.prove(&of_project(packages)?, |_| {})
    }

    fn prove(&self, wanted: &[Wanted], tell: impl Fn(&Proof)) -> anyhow::Result<Vec<Proof>> {
        let mut watch = |line: &str| output::err(format_args!("== {line}"));
        let builder = Builder::find(&self.user, &mut watch)?;
        let chroots = Chroots { directory: self.chroots.clone(), mirrors: self.mirrors.clone(), today: today() };
        let mut proofs = Vec::new();
        for one in wanted {
            let request = Request {
                dsc: &one.dsc,
                series: &one.series,
                distribution: one.distribution,
                prove_on: one.prove_on.as_deref(),
                builder: &builder,
                chroots: &chroots,
                smoke_test: one.smoke_test.as_deref(),
                directory: &one.directory,
            };
            let proof = prove::prove(&request, &mut watch)?;
            let text = serde_json::to_string_pretty(&proof)? + "\n";
            paths::write_atomically(&one.directory.join(NAME), text.as_bytes())?;
            tell(&proof);
            proofs.push(proof);
        }
        Ok(proofs)
    }
}

/// The packages of the project that were made.
fn of_project(packages: &Packages<'_>) -> anyhow::Result<Vec<Wanted>> {
    let made = packages.made()?;
    let one = |(one, series): (&Made, &&Series)| Wanted {
        dsc: packages.directory().join(&one.dsc),
        series: one.series.clone(),
        distribution: series.distribution,
        prove_on: series.prove_on.as_ref().map(|name| name.as_str().to_owned()),
        smoke_test: packages.deb.smoke_test.clone(),
        directory: packages.directory().join("proof").join(&one.series),
    };
    Ok(made.iter().zip(&packages.series).map(one).collect())
}

/// `SERIES=FILE`
fn of_file(text: &str) -> anyhow::Result<Wanted> {
    let (name, file) = text
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("{text:?} names no series: write it as bookworm={text}")))?;
    let all = series::all();
    let known = all.iter().find(|one| one.name == name);
    let distribution = known.map(|one| one.distribution);
    let dsc = fs::canonicalize(file).with_context(|| format!("cannot read {file}"))?;
    let directory = dsc.parent().map(|directory| directory.join("proof").join(name)).unwrap_or_default();
    Ok(Wanted {
        dsc,
        series: name.to_owned(),
        distribution: distribution
            .ok_or_else(|| Failure::usage(format!("the series {name} is not known; write a code name")))?,
        prove_on: None,
        smoke_test: None,
        directory,
    })
}

fn tell(proof: &Proof) {
    let on = match &proof.instead {
        None => proof.proved_on.clone(),
        Some(why) => format!("{} instead of {}, because {why}", proof.proved_on, proof.series),
    };
    output::out(format_args!("{} on {on}", proof.source));
    output::out(format_args!("  chroot     made on {}, no network while it was built", proof.chroot));
    if proof.differing.is_empty() {
        let varied = proof.varied.join(", ");
        output::out(format_args!(
            "  the same   {} packages in both builds, with another {varied}",
            proof.packages.len()
        ));
        output::out(format_args!("             not varied: the clock, as rustc does not start under another"));
    }
    proof.differing.iter().for_each(|what| output::out(format_args!("  DIFFERS    {what}")));
    proof.tried.iter().for_each(|what| output::out(format_args!("  installed  {what}")));
    if proof.tried.is_empty() && proof.differing.is_empty() {
        output::out("  not tried: declare `smoke-test`, or write debian/tests/control");
    }
    output::out(format_args!("  in {} s", proof.seconds));
}
