//! Programs of the system around a test: shells, interpreters, and what scripts call. Their errors are not the project's, unless
//! code of the project takes part in them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

mod launchers;

use launchers::{interpreter, is_translator};
pub use launchers::{is_launcher, only_launches};
use md5::{Digest as _, Md5};

use crate::stack::Frame;
use crate::xml::{Error, Log};
use drydock_base::checksum::hex;

/// The directories of the system's programs and libraries. Those of `/usr/local` and `/opt` are not the system's.
const DIRECTORIES: [&str; 11] = [
    "/bin/",
    "/sbin/",
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/lib/",
    "/usr/lib32/",
    "/usr/lib64/",
    "/usr/libexec/",
];

/// Checksums of what Debian's packages installed, one file a package.
const PACKAGES: &str = "/var/lib/dpkg/info";

/// Stacks of fewer frames than this by the declared options do not tell enough.
const ENOUGH_FRAMES: usize = 12;

/// The job whose processes are distinguished.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// The project's directory.
    pub project: &'a Path,
    /// The directory that the job runs in.
    pub directory: &'a Path,
    /// The file that the job's command was found as.
    pub command: &'a Path,
    /// The number of frames that valgrind keeps of each stack.
    pub frames: usize,
}

impl Around<'_> {
    /// The program of the system that ran in a process, or nothing if the process may be what the job tests. With `is_command`,
    /// the log is that of the job's own command.
    pub(crate) fn program(&self, log: &Log, is_command: bool) -> Option<PathBuf> {
        let named = if is_command { self.command } else { Path::new(log.command.first()?) };
        let path = self.directory.join(named);
        let runs = interpreter(&path).unwrap_or_else(|| path.clone());
        if !self.is_system(&runs) || is_command && runs == path && !is_launcher(&path) {
            return None;
        }
        Some(runs)
    }

    /// Whether an error of such a process is not the project's: every frame that valgrind kept is in a program or a library of
    /// the system. A frame without an object may be of a library that was unloaded; of the programs of the system, those
    /// that translate code do not load libraries of the project.
    pub(crate) fn is_foreign(&self, program: &Path, error: &Error) -> bool {
        let may_lack_object = is_translator(program);
        let stacks = || std::iter::once(&error.stack).chain(error.auxiliary.iter().map(|side| &side.stack));
        let cut = self.frames < ENOUGH_FRAMES && stacks().any(|stack| stack.len() >= self.frames);
        !cut && !error.stack.is_empty()
            && stacks().flatten().all(|frame| {
                let is_unloaded = frame.object.is_none() && frame.directory.is_none() && frame.file.is_none();
                may_lack_object && is_unloaded || self.is_system_frame(frame)
            })
    }

    fn is_system_frame(&self, frame: &Frame) -> bool {
        let is_ours =
            frame.directory.as_deref().is_some_and(|directory| Path::new(directory).starts_with(self.project));
        let is_system = |object: &str| object.contains("/vgpreload_") || self.is_system(Path::new(object));
        !is_ours && frame.object.as_deref().is_some_and(is_system)
    }

    fn is_system(&self, path: &Path) -> bool {
        static KNOWN: LazyLock<Mutex<HashMap<PathBuf, bool>>> = LazyLock::new(Mutex::default);
        let Ok(path) = fs::canonicalize(path) else { return false };
        let is_inside = |directory: &&str| path.starts_with(directory.trim_end_matches('/'));
        if path.starts_with(self.project) {
            return false;
        }
        let is_usual = DIRECTORIES.iter().any(is_inside);
        let Ok(mut known) = KNOWN.lock() else { return false };
        *known.entry(path).or_insert_with_key(|path| match is_usual {
            true => is_packaged(path, Path::new(PACKAGES)),
            false => is_of_rust_toolchain(path),
        })
    }
}

/// Whether a package installed the file as it is. Without Debian's records, every file in the system's directories is the
/// system's.
fn is_packaged(path: &Path, packages: &Path) -> bool {
    let Ok(entries) = fs::read_dir(packages) else { return true };
    let Ok(relative) = path.strip_prefix("/") else { return false };
    // A package may have the file by its path from before /usr was merged.
    let names = [Some(relative), relative.strip_prefix("usr").ok()];
    let names: Vec<String> = names.into_iter().flatten().map(|name| format!("  {}", name.display())).collect();
    let lists =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "md5sums"));
    let mut wanted = lists.filter_map(|list| {
        let text = fs::read(list).ok()?;
        let line = |name: &String| {
            let at = memchr::memmem::find_iter(&text, name.as_bytes());
            at.filter(|at| matches!(text.get(at + name.len()), Some(b'\n') | None))
                .find_map(|at| text.get(at.checked_sub(32)?..at))
        };
        names.iter().find_map(line).map(<[u8]>::to_vec)
    });
    let Some(wanted) = wanted.next() else { return false };
    let Ok(mut file) = File::open(path) else { return false };
    let mut hash = Md5::new();
    std::io::copy(&mut file, &mut hash).is_ok() && hex(&hash.finalize()).as_bytes() == wanted
}

/// Whether rustup installed the file as a part of a toolchain: `lib/rustlib/components` of a directory above it names the
/// components, and `lib/rustlib/manifest-COMPONENT` has a line `file:PATH` for each of their files (rust-installer, version 3).
fn is_of_rust_toolchain(path: &Path) -> bool {
    let lists = |toolchain: &Path| {
        let Ok(relative) = path.strip_prefix(toolchain) else { return false };
        let rustlib = toolchain.join("lib/rustlib");
        let Ok(components) = fs::read_to_string(rustlib.join("components")) else { return false };
        let wanted = format!("file:{}", relative.display());
        components.lines().any(|component| {
            let manifest = fs::read_to_string(rustlib.join(format!("manifest-{component}")));
            manifest.is_ok_and(|manifest| manifest.lines().any(|line| line == wanted))
        })
    };
    path.ancestors().skip(1).any(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENOUGH: usize = 12;

    fn around<'a>(project: &'a Path, command: &'a Path) -> Around<'a> {
        Around { project, directory: project, command, frames: ENOUGH }
    }

    #[test]
    fn only_what_a_package_installed_as_it_is_belongs_to_the_system() {
        let packages = tempfile::tempdir().unwrap();
        let path = fs::canonicalize("/bin/sh").unwrap();
        let digest = hex(&Md5::digest(fs::read(&path).unwrap()));
        let name = path.strip_prefix("/usr").unwrap().display().to_string();
        let list = |text: String| fs::write(packages.path().join("dash.md5sums"), text).unwrap();
        list(format!("{digest}  {name}x\n"));
        assert!(!is_packaged(&path, packages.path()), "no package has it");
        list(format!("0{}  {}\n", &digest[1..], name));
        assert!(!is_packaged(&path, packages.path()), "another version was installed over it");
        list(format!("{digest}  usr/share/x\n{digest}  {}\n", name));
        assert!(is_packaged(&path, packages.path()));
        assert!(is_packaged(&path, &packages.path().join("none")), "no records");
    }

    #[test]
    fn what_rustup_installed_belongs_to_the_system() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let toolchain = root.join("toolchains/stable");
        let files = [
            ("bin/rustfmt", ""),
            ("bin/other", ""),
            ("lib/rustlib/components", "cargo-x\nrustfmt-preview-x\n"),
            ("lib/rustlib/manifest-rustfmt-preview-x", "file:bin/cargo-fmt\nfile:bin/rustfmt\n"),
        ];
        for (name, text) in files {
            fs::create_dir_all(toolchain.join(name).parent().unwrap()).unwrap();
            fs::write(toolchain.join(name), text).unwrap();
        }
        let is =
            |project: &str, name: &str| around(&root.join(project), Path::new("x")).is_system(&toolchain.join(name));
        assert!(is("elsewhere", "bin/rustfmt"));
        assert!(!is("elsewhere", "bin/other"), "no component has it");
        assert!(!is("toolchains", "bin/rustfmt"), "it is in the project");
        assert!(!is("elsewhere", "bin/cargo-fmt"), "it is not there");
    }

    #[test]
    fn what_the_job_tests_is_not_around_it() {
        let project = tempfile::tempdir().unwrap();
        let script = project.path().join("t.sh");
        fs::write(&script, "#! /bin/sh -e\n").unwrap();
        fs::write(project.path().join("prog"), "\x7fELF").unwrap();
        fs::write(project.path().join("own"), format!("#!{}/prog\n", project.path().display())).unwrap();
        let log = |program: &str| Log { command: vec![program.to_owned()], ..Log::default() };
        let is = |command: &str, program: &str, is_command: bool| {
            let command = project.path().join(command);
            around(project.path(), &command).program(&log(program), is_command).is_some()
        };
        // A script's own process is its interpreter.
        assert!(is("t.sh", "./t.sh", true));
        assert!(is("/bin/sh", "sh", true));
        assert!(is("/usr/bin/sed", "/usr/bin/sed", false));
        assert!(!is("/usr/bin/sed", "/usr/bin/sed", true), "the job tests it");
        assert!(!is("prog", "./prog", true) && !is("t.sh", "./prog", false) && !is("t.sh", "./own", false));
        assert!(!is("t.sh", "./gone", false) && !is("t.sh", "sed", false), "nobody knows what it was");
    }

    #[test]
    fn one_frame_of_the_project_is_enough() {
        let (project, command) = (Path::new("/work/p"), Path::new("/bin/sh"));
        let shell_path = fs::canonicalize(command).unwrap();
        let shell = shell_path.display().to_string();
        let frame = |object: &str| Frame { object: Some(object.to_owned()), ..Frame::default() };
        let error = |frames: Vec<Frame>| Error { stack: frames, ..Error::default() };
        let is_foreign = |frames: Vec<Frame>| around(project, command).is_foreign(&shell_path, &error(frames));
        let preload = || frame("/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so");
        assert!(is_foreign(vec![preload(), frame(&shell)]));
        assert!(!is_foreign(Vec::new()));
        assert!(!is_foreign(vec![preload(), frame("/work/p/ext.so"), frame(&shell)]));
        assert!(!is_foreign(vec![preload(), frame("/usr/lib/libnobody-has-it.so"), frame(&shell)]));
        assert!(!is_foreign(vec![preload(), Frame::default(), frame(&shell)]), "it may have been unloaded");
        let ours = Frame { directory: Some("/work/p/src".into()), ..frame(&shell) };
        assert!(!is_foreign(vec![preload(), ours]));
        // With few frames, those of the project may be missing.
        let few = Around { frames: 2, ..around(project, command) };
        assert!(!few.is_foreign(&shell_path, &error(vec![preload(), frame(&shell)])));
        assert!(few.is_foreign(&shell_path, &error(vec![frame(&shell)])));
        // What a linker unloaded is its own plugin; a name in the sources is of something else.
        let linker = Path::new("/usr/bin/x86_64-linux-gnu-ld.bfd");
        let of_linker = |frames: Vec<Frame>| around(project, command).is_foreign(linker, &error(frames));
        assert!(of_linker(vec![preload(), Frame::default(), frame(&shell)]));
        assert!(!of_linker(vec![preload(), Frame::default(), frame("/work/p/plugin.so")]));
        assert!(!of_linker(vec![preload(), Frame { file: Some("x.c".into()), ..Frame::default() }, frame(&shell)]));
        let side = crate::xml::Auxiliary { what: String::new(), stack: vec![frame("/work/p/ext.so")] };
        let freed = Error { auxiliary: vec![side], ..error(vec![preload(), frame(&shell)]) };
        assert!(!around(project, command).is_foreign(&shell_path, &freed));
    }
}
