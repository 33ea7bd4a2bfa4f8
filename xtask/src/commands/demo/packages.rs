//! The demo's Debian packages and image: the source packages always, and the rest with `--all`.

use super::{Context, Row, Verdict};
use crate::cli;
use crate::commands::deb::check::Check;
use crate::commands::deb::source_packages::{BuildOptions, SourcePackages};
use crate::commands::docker::build::Build;
use crate::commands::docker::selection::ImageSelection;
use crate::commands::release;
use crate::commands::release_context::{ReleaseContext, ReleaseSelector};
use crate::exit::Exit;
use crate::tools::{self, Purpose};
use drydock_base::hint;
use drydock_base::output;
use drydock_deb::launchpad;

/// The series of the example's image.
const SERIES: &str = "bookworm";

/// Adds the rows of both pillars. What fails is a row that was not proved, and the first error is returned.
pub(super) fn show(ctx: &Context, selector: &ReleaseSelector, all: bool, rows: &mut Vec<Row>) -> anyhow::Result<Exit> {
    output::announce(format_args!("deb: {}", hint::drydock(&["deb"])));
    let release = ReleaseContext::resolve(ctx, selector)?;
    if let Err(error) = source_packages(&release, rows) {
        rows.push(Row::new("the source packages follow Launchpad's rules", first_line(&error), Verdict::NotProved));
        return Err(error);
    }
    if !all {
        let lacks = [Purpose::Deb, Purpose::Docker].iter().any(|purpose| !tools::missing(Some(*purpose)).is_empty());
        let how = format!("`{}` shows it, in some minutes", with_all(lacks));
        for claim in ["the Debian package is built twice in a clean chroot", "the image is built without a daemon"] {
            rows.push(Row::new(claim, how.as_str(), Verdict::NotShown));
        }
        return Ok(Exit::Success);
    }
    output::announce(format_args!("deb: {}", hint::drydock(&["deb", "prove", "--series", SERIES])));
    if let Err(error) = proved_package(ctx, &release, rows) {
        rows.push(Row::new(
            "the Debian package is built twice in a clean chroot",
            first_line(&error),
            Verdict::NotProved,
        ));
        return Err(error);
    }
    output::announce(format_args!("docker: {}", hint::drydock(&["docker"])));
    if let Err(error) = image(&release, rows) {
        rows.push(Row::new("the image is built without a daemon", first_line(&error), Verdict::NotProved));
        return Err(error);
    }
    Ok(if rows.iter().any(|row| row.verdict == Verdict::NotProved) { Exit::NotReproducible } else { Exit::Success })
}

/// The command that shows everything, of this program without its project.
fn with_all(install: bool) -> String {
    format!("demo --all{}", if install { " --install" } else { "" })
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}

fn source_packages(release: &ReleaseContext, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let packages = SourcePackages::select(release, &[])?;
    let threads = release::build::threads(None);
    packages.build(&BuildOptions { signer: None, with_origs: true, threads, without_proof: None })?;
    let problems = Check { allow_unsigned: true, api: None }.problems(&packages)?;
    let names: Vec<&str> = packages.series.iter().map(|series| series.name.as_str()).collect();
    rows.push(Row::new(
        format!("{} source packages follow Launchpad's rules", names.len()),
        match problems.first() {
            None => format!("{} rules, for {}", launchpad::RULES.len(), names.join(", ")),
            Some(problem) => format!("{} problems, the first: {problem}", problems.len()),
        },
        Verdict::from(problems.is_empty()),
    ));
    Ok(())
}

fn proved_package(ctx: &Context, release: &ReleaseContext, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let packages = SourcePackages::select(release, &[SERIES.to_owned()])?;
    let proofs = cli::ProofPlaces::default().environment(ctx.state.root()).prove_project(&packages)?;
    for proof in proofs {
        let varied = proof.variations.iter().filter(|one| one.missing.is_none()).count();
        rows.push(Row::new(
            "the Debian package is built twice in a clean chroot",
            format!(
                "{} packages on {}, {varied} things varied; {}",
                proof.packages.len(),
                proof.proved_on,
                proof.tests.join(", ")
            ),
            Verdict::from(proof.differences.is_empty()),
        ));
    }
    Ok(())
}

fn image(release: &ReleaseContext, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let selection = ImageSelection::new(release, &[])?;
    let records = Build { selection: &selection, platforms: Vec::new(), engines: &[] }.run()?;
    for record in records {
        let passed = record.platforms.values().find_map(|platform| platform.smoke_test.as_ref());
        let printed = passed.map_or_else(
            || "not tested here".into(),
            |passed| format!("its smoke test printed {:?}", passed.printed.trim()),
        );
        rows.push(Row::new(
            "the image is built without a daemon",
            format!("{} {}; {printed}", record.image, record.digest.short()),
            Verdict::from(passed.is_some()),
        ));
    }
    Ok(())
}
