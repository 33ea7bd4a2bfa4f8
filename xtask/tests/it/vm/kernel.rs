//! The kernel of the tests' virtual machines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::Context as _;

use super::output;

/// The modules of Debian's kernel for a disk, in the order in which they are loaded.
pub(super) const DISK_MODULES: [&str; 6] =
    ["virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"];

/// A kernel with its modules.
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The file of a module, decompressed; none if there is no such module, which may be built in.
    pub(super) fn module(&self, name: &str) -> Option<PathBuf> {
        let plain = self.modules.join(format!("{name}.ko"));
        if plain.exists() {
            return Some(plain);
        }
        let found = output(Command::new("find").arg(&self.modules).args(["-name", &format!("{name}.ko*")]));
        let found = PathBuf::from(found.lines().next()?);
        let program = match found.extension()?.to_str()? {
            "ko" => return Some(found),
            "zst" => "zstd",
            "xz" => "xz",
            "gz" => "gzip",
            other => panic!("{}: unknown compression {other}", found.display()),
        };
        let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ko"));
        let file = fs::File::create(&unpacked).unwrap();
        assert!(Command::new(program).arg("-dc").arg(&found).stdout(file).status().unwrap().success());
        Some(unpacked)
    }
}

/// The kernel that `DRYDOCK_TEST_KERNEL` names, with the modules below `DRYDOCK_TEST_MODULES`, or Debian's cloud kernel,
/// downloaded once into `target/vm-cache` and never installed.
pub(super) fn kernel() -> &'static Kernel {
    static KERNEL: OnceLock<Kernel> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("vm-cache");
        if let Some(image) = std::env::var_os("DRYDOCK_TEST_KERNEL") {
            let modules = std::env::var_os("DRYDOCK_TEST_MODULES").map_or_else(|| cache.join("none"), PathBuf::from);
            return Kernel { image: image.into(), modules };
        }
        fs::create_dir_all(&cache).unwrap();
        let kernel = Kernel { image: cache.join("vmlinuz"), modules: cache.join("modules") };
        // One download for all tests of one process and of several.
        let lock = fs::File::create(cache.join("lock")).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        if !kernel.modules.exists() {
            unpack_kernel(&cache, &kernel);
        }
        kernel
    })
}

/// Downloads the kernel into the cache. The modules come last, so that what is there is whole.
fn unpack_kernel(cache: &Path, kernel: &Kernel) {
    let directory = tempfile::tempdir_in(cache).unwrap();
    let package = download(directory.path()).unwrap_or_else(|_| {
        // The machine's lists are missing, or older than the archive.
        output(Command::new("apt-get").args(["update", "--quiet"]));
        download(directory.path())
            .unwrap_or_else(|why| panic!("{why}; set DRYDOCK_TEST_KERNEL to a kernel with a built-in 8250 console"))
    });
    let files = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let deb = files.into_iter().find(|path| path.extension().is_some_and(|end| end == "deb")).unwrap();
    let root = directory.path().join("root");
    output(Command::new("dpkg-deb").arg("-x").args([&deb, &root]));
    let version = package.replace("linux-image-", "");
    fs::rename(root.join("boot").join(format!("vmlinuz-{version}")), &kernel.image).unwrap();
    let all = Kernel { image: PathBuf::new(), modules: root.join("lib/modules").join(version) };
    let few = directory.path().join("modules");
    fs::create_dir(&few).unwrap();
    for module in DISK_MODULES {
        if let Some(file) = all.module(module) {
            fs::copy(file, few.join(format!("{module}.ko"))).unwrap();
        }
    }
    fs::rename(few, &kernel.modules).unwrap();
}

/// Downloads the package of the newest cloud kernel into the directory, and returns its name.
fn download(directory: &Path) -> anyhow::Result<String> {
    let depends = Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]).output().unwrap();
    let depends = String::from_utf8_lossy(&depends.stdout).into_owned();
    let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    let package = format!("linux-image-{}", package.context("the package linux-image-cloud-amd64 does not exist")?);
    let download =
        Command::new("apt-get").args(["download", "--quiet", &package]).current_dir(directory).output().unwrap();
    anyhow::ensure!(download.status.success(), "{}", String::from_utf8_lossy(&download.stderr));
    Ok(package)
}
