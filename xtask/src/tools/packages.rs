//! The Debian packages of programs, for the remedies of messages about missing ones.

use super::{Probe, Registry, TOOLS, Tool};

/// Programs that Drydock itself does not need, but that jobs, generators and builds of projects call.
const OF_PROJECTS: &[(&str, &str)] = &[
    ("asciidoctor", "asciidoctor"),
    ("autopoint", "autopoint"),
    ("bison", "bison"),
    ("bmake", "bmake"),
    ("c++", "g++"),
    ("cargo", "cargo"),
    ("cc", "gcc"),
    ("clang", "clang"),
    ("doxygen", "doxygen"),
    ("flex", "flex"),
    ("gperf", "gperf"),
    ("help2man", "help2man"),
    ("libtoolize", "libtool"),
    ("m4", "m4"),
    ("makeinfo", "texinfo"),
    ("pandoc", "pandoc"),
    ("pkg-config", "pkg-config"),
    ("protoc", "protobuf-compiler"),
    ("pytest", "python3-pytest"),
    ("scdoc", "scdoc"),
    ("swig", "swig"),
    ("tclsh", "tcl"),
    ("xsltproc", "xsltproc"),
];

/// The Debian package of a program, where it is known.
pub(crate) fn package_of(program: &str) -> Option<&'static str> {
    let is_it = |tool: &&Tool| matches!(tool.probe, Probe::Program(name) if name == program);
    let own = TOOLS.iter().filter(|tool| tool.registry == Registry::Debian).find(is_it);
    let others = || OF_PROJECTS.iter().find(|(name, _)| *name == program).map(|(_, package)| *package);
    own.map(|tool| tool.package).or_else(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_has_the_package_of_the_tables() {
        for (program, package) in [
            ("valgrind", Some("valgrind")),
            ("ninja", Some("ninja-build")),
            ("protoc", Some("protobuf-compiler")),
            ("twine", None),
            ("lamp", None),
        ] {
            assert_eq!(package_of(program), package, "{program}");
        }
        drydock_base::hint::know_packages(package_of);
        let error = drydock_base::exec::Error::NotFound { program: "ninja".to_owned() }.to_string();
        assert!(error.starts_with("`ninja` is in no directory of PATH; on Debian and Ubuntu, `"), "{error}");
        assert!(error.ends_with("apt-get install ninja-build` installs it"), "{error}");
    }
}
