//! Files that tell a build its version where there is no git: without them, builds from archives have none.

use super::super::Saw;
use super::GeneratorDraft;
use crate::tree::Tree;

/// The file that gnulib's `git-version-gen` reads before it asks git.
const OF_GNULIB: &str = ".tarball-version";
/// The file of an sdist, in which setuptools-scm looks before it gives up.
const OF_PYTHON: &str = "PKG-INFO";

/// The generator of the file in which the build looks for its version, if git does not have it.
pub(super) fn find(tree: &Tree, name: &str) -> Option<GeneratorDraft> {
    let draft = |saw: &Saw, file: &str, format: &str| GeneratorDraft {
        name: "version",
        comments: vec![format!("saw {saw}: an archive has no git that would tell the version, so it has this file")],
        run: ["sh".to_owned(), "-c".to_owned(), format!("printf {format} \"$DRYDOCK_VERSION\" > {file}")].to_vec(),
        inputs: vec![saw.path.clone()],
        outputs: vec![file.to_owned()],
        ..GeneratorDraft::default()
    };
    let of_gnulib = ["configure.ac", "configure.in", "CMakeLists.txt", "meson.build"];
    let mut of_gnulib = of_gnulib.into_iter().filter(|_| !tree.has(OF_GNULIB));
    if let Some(saw) = of_gnulib.find_map(|path| mention(tree, path, &[OF_GNULIB])) {
        return Some(draft(&saw, OF_GNULIB, "%s"));
    }
    let saw = of_scm(tree).filter(|_| !tree.has(OF_PYTHON))?;
    Some(draft(&saw, OF_PYTHON, &format!("'Metadata-Version: 2.1\\nName: {name}\\nVersion: %s\\n'")))
}

/// Where a package of Python takes its version from git.
fn of_scm(tree: &Tree) -> Option<Saw> {
    let requires = ["setuptools_scm", "setuptools-scm", "hatch-vcs", "use_scm_version"];
    let manifest: toml::Table = tree.text("pyproject.toml").unwrap_or_default().parse().unwrap_or_default();
    let dynamic = manifest.get("project").and_then(|project| project.get("dynamic")).and_then(toml::Value::as_array);
    let is_dynamic = dynamic.is_some_and(|names| names.iter().any(|name| name.as_str() == Some("version")));
    // Without `project`, setup.py or setup.cfg has the rest.
    let is_open = is_dynamic || !manifest.contains_key("project");
    let mut files = ["pyproject.toml", "setup.py", "setup.cfg"].into_iter().filter(|_| is_open);
    files.find_map(|path| mention(tree, path, &requires))
}

/// The first line of a file with one of these words, outside of comments.
fn mention(tree: &Tree, path: &str, words: &[&str]) -> Option<Saw> {
    let text = tree.text(path)?;
    let is_code = |line: &str| !line.trim_start().starts_with('#') && !line.trim_start().starts_with("dnl");
    let is_named = |line: &str| words.iter().any(|word| line.contains(word));
    let (number, line) = text.lines().enumerate().find(|(_, line)| is_code(line) && is_named(line))?;
    Some(Saw::line(path, number + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_git_tells_is_a_file_of_the_archive() {
        let found = |texts: &[(&str, &str)]| {
            let draft = find(&Tree::from_texts(texts.iter().copied()), "lamp")?;
            Some((draft.inputs.concat(), draft.outputs.concat(), draft.run[2].clone()))
        };
        let plain = |input: &str| {
            let run = "printf %s \"$DRYDOCK_VERSION\" > .tarball-version";
            Some((input.to_owned(), ".tarball-version".to_owned(), run.to_owned()))
        };
        let configure =
            ("configure.ac", "AC_INIT([lamp],\n m4_esyscmd([build-aux/git-version-gen .tarball-version]))\n");
        assert_eq!(found(&[configure]), plain("configure.ac"));
        assert_eq!(found(&[("CMakeLists.txt", "if(EXISTS \".tarball-version\")\n")]), plain("CMakeLists.txt"));
        assert_eq!(found(&[configure, (".tarball-version", "1.0\n")]), None);
        assert_eq!(found(&[("configure.ac", "dnl not .tarball-version\nAC_INIT([lamp], [1.0])\n")]), None);
        let requires = "[build-system]\nrequires = [\"setuptools\", \"setuptools_scm\"]\n";
        let dynamic = format!("{requires}[project]\ndynamic = [\"version\"]\n");
        let (input, output, run) = found(&[("pyproject.toml", &dynamic)]).unwrap();
        assert_eq!((input.as_str(), output.as_str()), ("pyproject.toml", "PKG-INFO"));
        assert!(run.contains("Name: lamp\\nVersion: %s\\n' \"$DRYDOCK_VERSION\" > PKG-INFO"), "{run}");
        assert!(found(&[("setup.py", "setup(use_scm_version=True)\n")]).is_some());
        // It is there for the list of files only.
        let fixed = format!("{requires}[project]\nversion = \"1.0\"\n");
        assert_eq!(found(&[("pyproject.toml", &fixed)]), None);
    }
}
