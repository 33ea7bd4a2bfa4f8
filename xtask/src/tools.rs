//! The one table of external tools: what they are called, which Debian package has them, which command needs them.

use clap::ValueEnum;

use drydock_base::exec;

/// A command that needs tools.
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
    /// The command's word.
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

    /// The commands whose tools it needs.
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

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    /// How it is recognised.
    pub(crate) probe: Probe,
    /// The Debian package that has it.
    pub(crate) package: &'static str,
    /// The commands that need it.
    pub(crate) needed_by: &'static [Purpose],
    /// What for.
    pub(crate) reason: &'static str,
}

/// How a tool is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// A program in `PATH`.
    Program(&'static str),
    /// A file, one of these.
    File(&'static [&'static str]),
}

use Purpose::{Check, Ci, Deb, Demo, Docker, Release};

/// Every tool, in the order in which `doctor` prints them.
pub(crate) const TOOLS: [Tool; 40] = [
    program("git", "git", &[Demo, Check, Release, Docker], "makes a project of the example, reads commits"),
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
    program("lowdown", "lowdown", &[Demo, Check], "makes the example's manual pages"),
    program("python3", "python3", &[Demo, Check], "generates code and runs the example's integration test"),
    program(
        "unshare",
        "util-linux",
        &[Demo, Check, Release, Docker],
        "takes the network, the user and the host name away in proofs",
    ),
    program("faketime", "faketime", &[Demo, Check, Release], "changes the clock of a second build"),
    program(
        "gpg",
        "gpg",
        &[Check, Release, Deb, Docker],
        "checks signatures of a release, signs packages and promotions",
    ),
    program("gpg-agent", "gpg-agent", &[Check, Deb], "keeps the key that signs Debian packages"),
    program("bsdtar", "libarchive-tools", &[Check], "unpacks archives for the tests"),
    program("unzip", "unzip", &[Check], "unpacks archives for the tests"),
    program("xargs", "findutils", &[Check], "is a peer in the benchmarks"),
    program("parallel", "parallel", &[Check], "is a peer in the benchmarks"),
    program("dpkg-source", "dpkg-dev", &[Check, Deb], "unpacks Debian source packages"),
    program("dh_clean", "debhelper", &[Check, Deb], "cleans Debian packages as builders do"),
    program("mmdebstrap", "mmdebstrap", &[Check, Deb, Docker], "makes clean chroots for proofs, and bases of images"),
    Tool {
        probe: Probe::File(&["/usr/share/keyrings/debian-archive-keyring.gpg"]),
        package: "debian-archive-keyring",
        needed_by: &[Check, Deb, Docker],
        reason: "tells that packages in chroots are Debian's",
    },
    program("sbuild", "sbuild", &[Check, Deb], "builds packages in clean chroots"),
    program("newuidmap", "uidmap", &[Check, Deb], "lets an unprivileged user have a chroot"),
    program("autopkgtest-virt-unshare", "autopkgtest", &[Check, Deb], "tries installed packages in fresh chroots"),
    program("dput", "dput-ng", &[Check, Deb], "uploads packages"),
    program("lintian", "lintian", &[Check], "looks at Debian packages for the tests"),
    program("dscverify", "devscripts", &[Check], "verifies source packages for the tests"),
    program("reprepro", "reprepro", &[Check], "is a real archive for the tests"),
    program("fakeroot", "fakeroot", &[Check, Deb], "builds packages on this machine"),
    program("buildah", "buildah", &[Check, Docker], "builds images from Dockerfiles"),
    program("podman", "podman", &[Check], "builds images from Dockerfiles for the tests"),
    program("dockerd", "docker.io", &[Check], "builds and runs images for the tests"),
    program("docker-registry", "docker-registry", &[Check], "is a real registry for the tests"),
    program("skopeo", "skopeo", &[Check], "reads images of registries for the tests"),
    program("openssl", "openssl", &[Check], "makes certificates for the tests"),
    program("qemu-system-x86_64", "qemu-system-x86", &[Check], "boots a kernel with cgroup v2 for the tests"),
    program("busybox", "busybox-static", &[Check], "is the first process of the tests' virtual machine"),
    program("chromium", "chromium", &[Check], "opens the HTML report for the tests"),
    Tool {
        probe: Probe::File(&["/usr/lib/locale/de_DE.utf8", "/usr/lib/locale/locale-archive"]),
        package: "locales-all",
        needed_by: &[Check],
        reason: "gives the hostile twin of a release another locale",
    },
    program(
        "mount",
        "mount",
        &[Check, Docker],
        "gives images that are tried their devices, and makes the tests' small disks",
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
    /// What a person calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self.probe {
            Probe::Program(name) => name,
            Probe::File(_) => self.package,
        }
    }

    /// Whether it is there.
    pub(crate) fn is_installed(&self) -> bool {
        match self.probe {
            Probe::Program(name) => exec::is_installed(name),
            Probe::File(files) => files.iter().any(|file| std::path::Path::new(file).exists()),
        }
    }
}

/// The tools that a command needs, all of them without a purpose.
pub(crate) fn needed(purpose: Option<Purpose>) -> impl Iterator<Item = &'static Tool> {
    let needs = |tool: &Tool, purpose: Purpose| purpose.parts().iter().any(|part| tool.needed_by.contains(part));
    TOOLS.iter().filter(move |tool| purpose.is_none_or(|purpose| needs(tool, purpose)))
}

/// Those of them that are missing.
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
