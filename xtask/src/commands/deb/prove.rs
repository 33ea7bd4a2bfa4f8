//! `cargo xtask deb prove`: builds packages twice in clean chroots without a network, compares, installs and tests them.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::network;
use super::source_packages::{BuiltSource, SourcePackages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use crate::tools::Purpose;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths;
use drydock_base::text::plural;
use drydock_config::release::deb::{Distribution, Series};
use drydock_deb::prove::{self, Builder, Chroots, Mirrors, Proof, ProofInputs};
use drydock_deb::series;

/// A package to prove.
struct PackageToProve {
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
        let (packages, state) = if self.files.is_empty() {
            let ctx = Context::find(place)?;
            let release = ReleaseContext::resolve(&ctx, &self.packages.of.into())?;
            let packages = SourcePackages::select(&release, &self.packages.series)?;
            (project_packages(&packages)?, ctx.state.root().to_owned())
        } else {
            let packages = self.files.iter().map(|file| package_in_file(file)).collect::<anyhow::Result<_>>()?;
            let state = place.state.clone().unwrap_or_else(|| std::env::temp_dir().join("drydock-chroots"));
            (packages, state)
        };
        // The declaration is quicker to correct than a missing tool.
        super::super::doctor::preflight(Purpose::Deb, false)?;
        let is_text = self.format == cli::Format::Text;
        let print = |proof: &Proof| {
            if is_text {
                print(proof)
            }
        };
        let proofs = self.places.environment(&state).prove(&packages, print)?;
        if !is_text {
            output::out(serde_json::to_string_pretty(&proofs)?);
        }
        let is_reproducible = proofs.iter().all(|proof| proof.differences.is_empty());
        Ok(if is_reproducible { Exit::Success } else { Exit::NotReproducible })
    }
}

impl ProofEnvironment {
    /// Proves packages of the project, which were built before, and writes the proofs next to them.
    pub(in crate::commands) fn prove_project(&self, packages: &SourcePackages<'_>) -> anyhow::Result<Vec<Proof>> {
        self.prove(&project_packages(packages)?, |_| {})
    }

    fn prove(&self, packages: &[PackageToProve], done: impl Fn(&Proof)) -> anyhow::Result<Vec<Proof>> {
        let mut progress = |line: &str| output::step(format_args!("{line}"));
        let builder = Builder::new(&self.user, &mut progress)?;
        let chroots = Chroots {
            directory: self.chroots.clone(),
            mirrors: self.mirrors.clone(),
            today: crate::commands::today().to_string(),
            network: network(),
        };
        let mut proofs = Vec::new();
        for one in packages {
            let inputs = ProofInputs {
                dsc: &one.dsc,
                series: &one.series,
                distribution: one.distribution,
                prove_on: one.prove_on.as_deref(),
                builder: &builder,
                chroots: &chroots,
                smoke_test: one.smoke_test.as_deref(),
                directory: &one.directory,
            };
            let proof = prove::prove(&inputs, &mut progress)?;
            let text = serde_json::to_string_pretty(&proof)? + "\n";
            paths::write_atomically(&one.directory.join(super::source_packages::PROOF), text.as_bytes())?;
            done(&proof);
            proofs.push(proof);
        }
        Ok(proofs)
    }
}

/// The packages of the project, which were built before.
fn project_packages(packages: &SourcePackages<'_>) -> anyhow::Result<Vec<PackageToProve>> {
    let built = packages.built()?;
    let one = |(one, series): (&BuiltSource, &&Series)| PackageToProve {
        dsc: packages.directory().join(&one.dsc),
        series: one.series.clone(),
        distribution: series.distribution,
        prove_on: series.prove_on.as_ref().map(|name| name.as_str().to_owned()),
        smoke_test: packages.deb.smoke_test.clone(),
        directory: packages.directory().join("proof").join(&one.series),
    };
    Ok(built.iter().zip(&packages.series).map(one).collect())
}

/// Parses `SERIES=FILE`.
fn package_in_file(text: &str) -> anyhow::Result<PackageToProve> {
    let (name, file) = text
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("{text:?} has no series; write SERIES=FILE, such as bookworm={text}")))?;
    let all = series::all();
    let known = all.iter().find(|one| one.name == name);
    let known = known.ok_or_else(|| Failure::usage(format!("unknown series {name}; use its code name")))?;
    let dsc = fs::canonicalize(file).with_context(|| format!("cannot read {file}"))?;
    let directory = dsc.parent().map(|directory| directory.join("proof").join(name)).unwrap_or_default();
    Ok(PackageToProve {
        dsc,
        series: name.to_owned(),
        distribution: known.distribution,
        prove_on: None,
        smoke_test: None,
        directory,
    })
}

fn print(proof: &Proof) {
    let on = match &proof.substitute_reason {
        None => proof.proved_on.clone(),
        Some(reason) => format!("{} instead of {} ({reason})", proof.proved_on, proof.series),
    };
    output::out(format_args!("{} on {on}", proof.source));
    output::out(format_args!("  chroot     created on {}, built without a network", proof.chroot_date));
    if proof.differences.is_empty() {
        let varied: Vec<&str> =
            proof.variations.iter().filter(|one| one.missing.is_none()).map(|one| one.name.as_str()).collect();
        let (packages, varied) = (plural(proof.packages.len(), "package"), varied.join(", "));
        output::out(format_args!("  identical  {packages} in both builds; varied: {varied}"));
    }
    for difference in &proof.differences {
        // What begins with blanks is about a file of the package before it.
        let mark = if difference.starts_with(' ') { "" } else { "DIFFERS" };
        output::out(format_args!("  {mark:<9}  {difference}"));
    }
    for one in &proof.variations {
        if let Some(why) = &one.missing {
            output::out(format_args!("             not varied: {}; {why}", one.name));
        }
    }
    proof.tests.iter().for_each(|line| output::out(format_args!("  installed  {line}")));
    if proof.tests.is_empty() && proof.differences.is_empty() {
        output::out("  not tested: declare `smoke-test`, or write debian/tests/control");
    }
    output::out(format_args!("  took       {} s", proof.seconds));
}
