//! The journal of a run leaves the machine while jobs run, as an artifact of the run of GitHub Actions: when the machine is
//! lost, others still know what had ended, and what was running.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use crate::commands::ci::shards::PART;
use drydock_archive::bundle;
use drydock_base::output;
use drydock_base::paths::{self, JOURNAL, PLAN, RunDir};
use drydock_ci::shard::files_of;
use drydock_github::{Artifacts, Runtime};
use drydock_http::NetworkEnv;

/// The wait before the first upload: a run begins with its plan and its first jobs.
const FIRST: Duration = Duration::from_secs(2);
/// The largest file of an attempt that goes along, and the most bytes of all of them.
const LARGEST: u64 = 2 << 20;
const MOST: u64 = 16 << 20;
/// The days for which what was sent is kept: a run can be run again for 30.
const DAYS: i64 = 35;
/// The longest wait for an upload at the end of the run.
const LAST: Duration = Duration::from_secs(5);

/// How the journal leaves the machine.
pub(in crate::commands::ci) struct JournalUpload {
    /// The names of artifacts begin with it.
    pub(in crate::commands::ci) name: String,
    /// The file that the workflow hands over.
    pub(in crate::commands::ci) runtime: PathBuf,
    /// The wait between two uploads.
    pub(in crate::commands::ci) every: Duration,
}

/// The thread that uploads; it ends when this is dropped.
pub(super) struct Uploader {
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
}

impl Uploader {
    /// Starts it. What does not work is a warning: the run itself does not need it.
    pub(super) fn start(upload: JournalUpload, dir: &RunDir) -> Option<Uploader> {
        let read = fs::read(&upload.runtime).with_context(|| format!("cannot read {}", upload.runtime.display()));
        // Jobs must not find the token. There may be no such file.
        fs::remove_file(&upload.runtime).ok();
        let runtime = read.and_then(|text| Ok(Runtime::parse(&text)?));
        let runtime = runtime.map_err(|error| warn(&error)).ok()?;
        let artifacts = Artifacts::new(runtime, NetworkEnv::new(&|name| std::env::var_os(name)));
        let ((stop, stopped), (end, ended)) = (channel::<()>(), channel::<()>());
        let root = dir.root().to_owned();
        let thread = std::thread::Builder::new().name("journal upload".into());
        let started = thread.spawn(move || {
            send(&artifacts, &upload, &root, &stopped);
            drop(end);
        });
        started.map_err(|error| warn(&error.into())).ok()?;
        Some(Uploader { stop: Some(stop), ended })
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.stop = None;
        // Either it has ended, or the process ends without it.
        self.ended.recv_timeout(LAST).ok();
    }
}

fn warn(error: &anyhow::Error) {
    output::err(format_args!(
        "warning: the journal does not leave this machine while jobs run, so all results are lost if it is: {error:#}"
    ));
}

/// Uploads until it is to stop. Only one failure after another is reported.
fn send(artifacts: &Artifacts, upload: &JournalUpload, root: &Path, stopped: &Receiver<()>) {
    let (mut before, mut has_failed) = (None::<String>, false);
    let mut wait = FIRST.min(upload.every);
    for number in 1_u32.. {
        match stopped.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        wait = upload.every;
        if !has_begun(root) {
            wait = FIRST.min(upload.every);
            continue;
        }
        let name = format!("{}{PART}{number}", upload.name);
        match part(root, &name).and_then(|zip| Ok(artifacts.upload(&name, &zip, expires())?)) {
            Ok(()) => {
                if let Some(before) = before.replace(name) {
                    // An old part is of no harm: the newest one is used.
                    artifacts.delete(&before).ok();
                }
                has_failed = false;
            }
            Err(error) => {
                if !has_failed {
                    warn(&error);
                }
                has_failed = true;
            }
        }
    }
}

/// Whether the journal says which run it is of; before that, it is of no use to anybody.
fn has_begun(root: &Path) -> bool {
    let events = drydock_ci::journal::read(&root.join(JOURNAL)).unwrap_or_default();
    events.iter().any(|stamped| matches!(stamped.event, drydock_ci::event::Event::RunStarted(_)))
}

/// The end of what is sent, unless the repository keeps artifacts for less.
fn expires() -> Option<jiff::Timestamp> {
    let most = std::env::var("GITHUB_RETENTION_DAYS").ok()?.parse::<i64>().ok().filter(|days| *days > 0)?;
    jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24 * most.min(DAYS))).ok()
}

/// A zip file with one archive: the plan, the journal, and the files of attempts that were changed last.
fn part(root: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let scratch = tempfile::tempdir()?;
    let inside = scratch.path().join("run");
    fs::create_dir(&inside)?;
    for file in [PLAN, JOURNAL] {
        fs::write(inside.join(file), paths::read_regular(&root.join(file))?)?;
    }
    let mut files: Vec<(SystemTime, u64, String)> = Vec::new();
    for file in files_of(root)?.into_iter().filter(|file| file != JOURNAL) {
        // A job may remove its files meanwhile.
        let Ok(metadata) = fs::symlink_metadata(root.join(&file)) else { continue };
        files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), file));
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.0));
    let mut left = MOST;
    for (_, length, file) in files.into_iter().filter(|(_, length, _)| *length <= LARGEST) {
        let Some(rest) = left.checked_sub(length) else { break };
        let Ok(content) = paths::read_regular(&root.join(&file)) else { continue };
        if content.len() as u64 > LARGEST {
            continue;
        }
        left = rest;
        let into = inside.join(&file);
        fs::create_dir_all(into.parent().unwrap_or(&inside))?;
        fs::write(into, content)?;
    }
    let file = scratch.path().join("part");
    bundle::write(&inside, "run", &bundle::files_below(&inside)?, &file)?;
    Ok(bundle::zip(&format!("{name}.tar.gz"), &fs::read(&file)?)?)
}
