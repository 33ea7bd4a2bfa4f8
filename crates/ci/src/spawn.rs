//! Starts the process of an attempt: in a session of its own without a terminal, with three descriptors, every signal at
//! its default, and a mark that all its descendants inherit.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::ptr;

use crate::mark::Mark;

/// A command that is ready to be started.
#[derive(Debug)]
pub struct Program {
    /// The file to execute.
    pub file: PathBuf,
    /// The arguments after the program's name.
    pub arguments: Vec<String>,
    /// The working directory.
    pub directory: PathBuf,
    /// All variables of its environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Its standard output and standard error.
    pub output: OwnedFd,
    /// The mark that its descendants inherit.
    pub mark: Mark,
}

impl Program {
    /// Starts it, and returns its pid.
    ///
    /// # Errors
    /// The system's reason.
    pub fn start(&self) -> io::Result<u32> {
        let _marked = self.mark.wear();
        Prepared::new(self)?.start()
    }

    /// Starts it as a member of the cgroup v2 whose `cgroup.procs` is given. This is slower than [`Program::start`], since
    /// only a forked child can enter a group before it executes the program.
    ///
    /// # Errors
    /// The system's reason.
    #[expect(unsafe_code, reason = "std has no safe hook between fork and exec")]
    pub fn start_in(&self, procs: &File) -> io::Result<u32> {
        let procs = procs.try_clone()?;
        let mut command = Command::new(&self.file);
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(self.output.try_clone()?)
            .stderr(self.output.try_clone()?);
        // SAFETY: between fork and exec only async-signal-safe work is allowed: these are two system calls, the second
        // on a file that is already open.
        unsafe {
            command.pre_exec(move || {
                rustix::process::setsid()?;
                rustix::io::write(procs.as_fd(), b"0")?;
                Ok(())
            });
        }
        let _marked = self.mark.wear();
        command.spawn().map(|child| child.id())
    }
}

/// The arguments of posix_spawn(3), which does not copy the memory of this process as fork(2) does.
struct Prepared {
    file: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    actions: Actions,
    attributes: Attributes,
}

struct Actions(libc::posix_spawn_file_actions_t);
struct Attributes(libc::posix_spawnattr_t);

impl Prepared {
    #[expect(unsafe_code, reason = "std cannot begin a session without a hook, which would make it fork")]
    fn new(program: &Program) -> io::Result<Prepared> {
        let string = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
        let file = string(program.file.as_os_str().as_bytes())?;
        let mut arguments = vec![file.clone()];
        for argument in &program.arguments {
            arguments.push(string(argument.as_bytes())?);
        }
        let mut environment = Vec::with_capacity(program.environment.len());
        for (name, value) in &program.environment {
            environment.push(string(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        let directory = string(program.directory.as_os_str().as_bytes())?;
        let output = program.output.as_raw_fd();
        let mut actions = Actions::new()?;
        let mut attributes = Attributes::new()?;
        // SAFETY: both values were initialised; the strings live during each call, which copies them; a signal set is
        // plain data that `sigfillset` and `sigemptyset` write as a whole.
        unsafe {
            let actions = &raw mut actions.0;
            check(libc::posix_spawn_file_actions_addchdir_np(actions, directory.as_ptr()))?;
            check(libc::posix_spawn_file_actions_addopen(actions, 0, c"/dev/null".as_ptr(), libc::O_RDONLY, 0))?;
            check(libc::posix_spawn_file_actions_adddup2(actions, output, 1))?;
            check(libc::posix_spawn_file_actions_adddup2(actions, output, 2))?;
            let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigfillset(signals.as_mut_ptr());
            let attributes = &raw mut attributes.0;
            check(libc::posix_spawnattr_setsigdefault(attributes, signals.as_ptr()))?;
            libc::sigemptyset(signals.as_mut_ptr());
            check(libc::posix_spawnattr_setsigmask(attributes, signals.as_ptr()))?;
            let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK | SETSID;
            check(libc::posix_spawnattr_setflags(attributes, libc::c_short::try_from(flags).unwrap_or_default()))?;
        }
        Ok(Prepared { file, arguments, environment, actions, attributes })
    }

    #[expect(unsafe_code, reason = "see `new`")]
    fn start(&self) -> io::Result<u32> {
        let pointers = |strings: &[CString]| -> Vec<*mut libc::c_char> {
            strings.iter().map(|string| string.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
        };
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        let mut pid = 0;
        // SAFETY: all pointers lead to values of `self` or to the two lists, which end with a null pointer; the strings
        // are not changed.
        check(unsafe {
            libc::posix_spawn(
                &raw mut pid,
                self.file.as_ptr(),
                &raw const self.actions.0,
                &raw const self.attributes.0,
                arguments.as_ptr(),
                environment.as_ptr(),
            )
        })?;
        u32::try_from(pid).map_err(io::Error::other)
    }
}

/// `POSIX_SPAWN_SETSID` of glibc 2.26 and musl 1.1.17, which the libc crate does not have for every target.
const SETSID: libc::c_int = 0x80;

/// These functions return the number of an error.
fn check(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

#[expect(unsafe_code, reason = "see `Prepared::new`")]
impl Actions {
    fn new() -> io::Result<Actions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the value is initialised by the call, and used only if that succeeds.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        Ok(Actions(unsafe { actions.assume_init() }))
    }
}

#[expect(unsafe_code, reason = "see `Prepared::new`")]
impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is not used again.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

#[expect(unsafe_code, reason = "see `Prepared::new`")]
impl Attributes {
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the value is initialised by the call, and used only if that succeeds.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        Ok(Attributes(unsafe { attributes.assume_init() }))
    }
}

#[expect(unsafe_code, reason = "see `Prepared::new`")]
impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is not used again.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}
