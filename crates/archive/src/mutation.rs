//! Mutations of the writer, for tests of the proofs: each makes the bytes of archives depend on something that must not matter.
//!
//! The program installs none. A test runs it with one, and sees that the varied rebuild notices it and names the cause.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

static INSTALLED: OnceLock<Mutation> = OnceLock::new();

/// What the bytes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Permissions lack the bits of the umask.
    Umask,
    /// All times are those of the clock.
    Time,
    /// Entries are in the order of a hash table.
    Order,
    /// The owner is the user who builds.
    Owner,
    /// xz uses its single-threaded encoder for one thread.
    XzMode,
    /// The level of deflate is that of the variable `GZIP`.
    DeflateLevel,
    /// The level of bzip2 is that of the variable `BZIP2`.
    Bzip2Level,
    /// The paths are sorted as the locale sorts them.
    Locale,
    /// All times are local times.
    Zone,
    /// The block size of xz depends on the number of threads.
    Threads,
}

impl Mutation {
    /// All mutations by their names.
    pub const ALL: [(&'static str, Mutation); 10] = [
        ("umask", Mutation::Umask),
        ("time", Mutation::Time),
        ("order", Mutation::Order),
        ("owner", Mutation::Owner),
        ("xz-mode", Mutation::XzMode),
        ("deflate-level", Mutation::DeflateLevel),
        ("bzip2-level", Mutation::Bzip2Level),
        ("locale", Mutation::Locale),
        ("zone", Mutation::Zone),
        ("threads", Mutation::Threads),
    ];

    /// Mutates all that this process writes from now on. Only the first call has an effect.
    pub fn install(self) {
        INSTALLED.get_or_init(|| self);
    }
}

pub(crate) fn is(mutation: Mutation) -> bool {
    INSTALLED.get() == Some(&mutation)
}

/// The permissions to write instead of `mode`.
pub(crate) fn mode(mode: u32) -> u32 {
    if !is(Mutation::Umask) {
        return mode;
    }
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    mode & !mask.as_raw_mode()
}

/// The time to write instead of `time`, in seconds since 1970.
pub(crate) fn time(time: u64) -> u64 {
    if is(Mutation::Time) {
        return SystemTime::now().duration_since(UNIX_EPOCH).map_or(time, |now| now.as_secs());
    }
    if is(Mutation::Zone) {
        return local(time).unwrap_or(time);
    }
    time
}

/// The local time as if it were UTC, where `TZ` has rules of its own.
fn local(time: u64) -> Option<u64> {
    let zone = jiff::tz::TimeZone::posix(&std::env::var("TZ").ok()?).ok()?;
    let moment = jiff::Timestamp::from_second(i64::try_from(time).ok()?).ok()?;
    Some(time.saturating_add_signed(zone.to_offset(moment).seconds().into()))
}

/// The user and the group to write.
pub(crate) fn owner() -> (u64, u64) {
    if !is(Mutation::Owner) {
        return (0, 0);
    }
    (rustix::process::geteuid().as_raw().into(), rustix::process::getegid().as_raw().into())
}

/// The level of a compressor instead of `level`, from the environment variable that some other programs read.
pub(crate) fn level(mutation: Mutation, variable: &str, level: u32) -> u32 {
    if !is(mutation) {
        return level;
    }
    std::env::var(variable).ok().and_then(|options| options.trim_start_matches('-').parse().ok()).unwrap_or(level)
}

/// Whether the entries are in another order than that of their bytes.
pub(crate) fn reorders() -> bool {
    is(Mutation::Order) || is(Mutation::Locale)
}

/// Sorts in another order than that of the bytes.
pub(crate) fn reorder<T>(entries: &mut [T], path: impl Fn(&T) -> &str) {
    let locale = std::env::var("LC_ALL").unwrap_or_default();
    let is_plain = matches!(locale.as_str(), "" | "C" | "C.UTF-8" | "C.utf8" | "POSIX");
    if is(Mutation::Locale) && !is_plain {
        entries.sort_by_cached_key(|entry| path(entry).to_lowercase());
    }
    if is(Mutation::Order) {
        let hashes = RandomState::new();
        entries.sort_by_cached_key(|entry| hashes.hash_one(path(entry)));
    }
}
