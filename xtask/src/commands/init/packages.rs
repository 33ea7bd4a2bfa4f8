//! The packages that are missing on this machine, with the command that installs them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::tools;
use drydock_base::exec;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::text::plural;
use drydock_init::facts::{Facts, Package};

/// The Debian packages of programs that the jobs call and that are not in `PATH`, valgrind's among them.
pub(super) fn missing(facts: &Facts) -> Vec<&'static str> {
    let programs = facts.groups.iter().flat_map(|group| &group.programs);
    let mut packages: Vec<&str> =
        programs.filter(|(program, _)| !exec::is_installed(program)).map(|(_, package)| *package).collect();
    if facts.groups.iter().flat_map(|group| &group.jobs).any(|job| job.memcheck) {
        packages.extend(tools::missing(Some(tools::Purpose::Ci)).iter().map(|tool| tool.package));
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Names the packages that the project names and this machine does not have, and how to install them.
pub(super) fn tell(packages: &[Package]) {
    let missing = not_installed(packages);
    let Some(first) = missing.first() else { return };
    let names: Vec<&str> = missing.iter().map(|package| package.name.as_str()).collect();
    let count = plural(names.len(), "package");
    let text = match available(&names) {
        // Workflows may be for a runner with another release.
        Some(known) if known.is_empty() => {
            format!("does not have, and its archives neither: {}", names.join(" "))
        }
        known => {
            let known = known.unwrap_or_else(|| names.clone());
            let unknown: Vec<&str> = names.iter().filter(|name| !known.contains(name)).copied().collect();
            let more = if unknown.is_empty() {
                String::new()
            } else {
                format!("; its archives do not have {}", unknown.join(" "))
            };
            format!("does not have; to install them, run: {}{more}", hint::apt_get(["install"]).args(&known))
        }
    };
    output::err(format_args!("the project says that it uses {count} (such as {}) that this machine {text}", first.saw));
}

/// Those of the packages that apt can install; none without apt.
fn available<'n>(names: &[&'n str]) -> Option<Vec<&'n str>> {
    let argv = ["apt-cache", "policy"].iter().chain(names).map(|word| (*word).to_owned());
    let said = exec::read(&argv.collect::<Vec<_>>(), Path::new("/")).ok()?;
    Some(candidates(&said, names))
}

/// The names with a version in what `apt-cache policy` says: a line for each package, and under it, that of its candidate.
fn candidates<'n>(said: &str, names: &[&'n str]) -> Vec<&'n str> {
    let mut current = "";
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for line in said.lines() {
        match line.trim_start().split_once(':') {
            Some((name, _)) if !line.starts_with(' ') => current = name,
            Some(("Candidate", version)) if version.trim() != "(none)" => {
                found.insert(current);
            }
            _ => {}
        }
    }
    names.iter().filter(|name| found.contains(*name)).copied().collect()
}

/// Those of the packages that dpkg does not know as installed; none on a machine without dpkg.
fn not_installed(packages: &[Package]) -> Vec<&Package> {
    if packages.is_empty() || !exec::is_installed("dpkg-query") {
        return Vec::new();
    }
    let argv = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package} ${Provides}\\n"];
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let Ok(all) = exec::read(&argv, Path::new("/")) else { return Vec::new() };
    let words = all.lines().filter_map(|line| line.strip_prefix("installed "));
    let installed: BTreeSet<&str> =
        words.flat_map(|line| line.split([' ', ','])).filter(|word| !word.is_empty()).collect();
    packages.iter().filter(|package| !installed.contains(package.name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_apt_cannot_install_are_not_in_the_command() {
        let said = "libx-dev:\n  Installed: (none)\n  Candidate: 1.0-1\n  Version table:\n     1.0-1 500\n\
                    virtual:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        assert_eq!(candidates(said, &["libx-dev", "virtual", "unknown"]), ["libx-dev"]);
    }
}
