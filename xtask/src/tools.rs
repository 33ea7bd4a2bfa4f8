//! The one table of external tools, with their Debian packages and the commands that need them.

use clap::ValueEnum;

use drydock_base::exec;

/// The commands that need tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// `cargo xtask ci` with jobs under valgrind
    Ci,
    /// `cargo xtask demo`
    Demo,
    /// `cargo xtask check`
    Check,
    /// `cargo xtask release`
    Release,
    /// `cargo xtask deb`
    Deb,
    /// `cargo xtask docker`
    Docker,
    /// `cargo xtask nightly`: those of release, deb and docker
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
            Purpose::Nightly => &[Purpose::Release, Purpose::Deb, Purpose::Docker],
        }
    }
}

/// An external tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    /// The test for its presence.
    pub(crate) probe: Probe,
    /// The Debian package that contains it.
    pub(crate) package: &'static str,
    /// The commands that need it.
    pub(crate) needed_by: &'static [Purpose],
    /// Its use, as a clause that begins with a verb.
    pub(crate) reason: &'static str,
}

/// The test for the presence of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// A program in `PATH`.
    Program(&'static str),
    /// One of these files.
    File(&'static [&'static str]),
}

use Purpose::{Check, Ci, Deb, Demo, Docker, Release};

/// Every tool, in the order in which `doctor` prints them.
pub(crate) const TOOLS: [Tool; 41] = [
    program("git", "git", &[Demo, Check, Release, Docker], "turns the example into a project, and reads commits"),
    program("gcc", "gcc", &[Demo, Check], "builds the example and the test programs"),
    program("g++", "g++", &[Check], "builds the test programs in C++"),
    program("make", "make", &[Demo, Check], "builds the example"),
    program("valgrind", "valgrind", &[Ci, Demo, Check], "checks and measures the jobs"),
    Tool {
        probe: Probe::File(&["/usr/lib/debug/.dwz", "/usr/lib/debug/.build-id"]),
        package: "libc6-dbg",
        needed_by: &[Ci, Demo, Check],
        reason: "lets valgrind understand the C library's own symbols",
    },
    Tool {
        probe: Probe::File(&["/usr/lib/python3/dist-packages/mako"]),
        package: "python3-mako",
        needed_by: &[Demo, Check],
        reason: "generates the example's wire code",
    },
    program("lowdown", "lowdown", &[Demo, Check], "generates the example's manual pages"),
    program("python3", "python3", &[Demo, Check], "generates code and runs the example's integration test"),
    program(
        "unshare",
        "util-linux",
        &[Demo, Check, Release, Docker],
        "isolates proofs from the network, the user and the host name",
    ),
    program("faketime", "faketime", &[Demo, Check, Release], "changes the clock of a second build"),
    program(
        "gpg",
        "gpg",
        &[Check, Release, Deb, Docker],
        "checks signatures of a release, signs packages and promotions",
    ),
    program("gpg-agent", "gpg-agent", &[Check, Deb], "holds the key that signs Debian packages"),
    program("bsdtar", "libarchive-tools", &[Check], "unpacks archives in the tests"),
    program("unzip", "unzip", &[Check], "unpacks archives in the tests"),
    program("zip", "zip", &[Check], "makes damaged archives for the tests"),
    program("xargs", "findutils", &[Check], "is compared with in the benchmarks"),
    program("parallel", "parallel", &[Check], "is compared with in the benchmarks"),
    program("dpkg-source", "dpkg-dev", &[Check, Deb], "unpacks Debian source packages"),
    program("dh_clean", "debhelper", &[Check, Deb], "cleans Debian packages as builders do"),
    program("mmdebstrap", "mmdebstrap", &[Check, Deb, Docker], "creates clean chroots for proofs, and base images"),
    Tool {
        probe: Probe::File(&["/usr/share/keyrings/debian-archive-keyring.gpg"]),
        package: "debian-archive-keyring",
        needed_by: &[Check, Deb, Docker],
        reason: "authenticates Debian's packages in chroots",
    },
    program("sbuild", "sbuild", &[Check, Deb], "builds packages in clean chroots"),
    program("newuidmap", "uidmap", &[Check, Deb], "lets an unprivileged user create a chroot"),
    program("autopkgtest-virt-unshare", "autopkgtest", &[Check, Deb], "tests installed packages in fresh chroots"),
    program("dput", "dput-ng", &[Check, Deb], "uploads packages"),
    program("lintian", "lintian", &[Check], "checks Debian packages in the tests"),
    program("dscverify", "devscripts", &[Check], "verifies source packages in the tests"),
    program("reprepro", "reprepro", &[Check], "serves as the package archive in the tests"),
    program("fakeroot", "fakeroot", &[Check, Deb], "builds packages on this machine"),
    program("buildah", "buildah", &[Check, Docker], "builds images from Dockerfiles"),
    program("podman", "podman", &[Check], "builds images from Dockerfiles in the tests"),
    program("dockerd", "docker.io", &[Check], "builds and runs images in the tests"),
    program("docker-registry", "docker-registry", &[Check], "serves as the registry in the tests"),
    program("skopeo", "skopeo", &[Check], "reads images from registries in the tests"),
    program("openssl", "openssl", &[Check], "creates certificates in the tests"),
    program("qemu-system-x86_64", "qemu-system-x86", &[Check], "boots a kernel with cgroup v2 in the tests"),
    program("busybox", "busybox-static", &[Check], "is the init process of the tests' virtual machine"),
    program("chromium", "chromium", &[Check], "opens the HTML report in the tests"),
    Tool {
        probe: Probe::File(&["/usr/lib/locale/de_DE.utf8", "/usr/lib/locale/locale-archive"]),
        package: "locales-all",
        needed_by: &[Check],
        reason: "provides another locale for varied rebuilds",
    },
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
    Tool { probe: Probe::Program(name), package, needed_by, reason }
}

impl Tool {
    /// The name for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self.probe {
            Probe::Program(name) => name,
            Probe::File(_) => self.package,
        }
    }

    /// Whether it is installed.
    pub(crate) fn is_installed(&self) -> bool {
        match self.probe {
            Probe::Program(name) => exec::is_installed(name),
            Probe::File(files) => files.iter().any(|file| std::path::Path::new(file).exists()),
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

/// The command that installs the packages of these tools.
pub(crate) fn install_command(tools: &[&Tool]) -> Vec<String> {
    let mut packages: Vec<&str> = tools.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let sudo = (!rustix::process::geteuid().is_root()).then_some("sudo");
    sudo.into_iter()
        .chain(["apt-get", "install", "--yes", "--no-install-recommends"])
        .chain(packages)
        .map(str::to_owned)
        .collect()
}
