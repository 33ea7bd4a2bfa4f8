//! Command line types of `cargo xtask release`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;
use drydock_config::release::Version;

/// `cargo xtask release`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Release {
    /// The command to run; by default check, build and prove, which change nothing outside of this machine.
    #[command(subcommand)]
    pub command: Option<ReleaseCommand>,
    /// Options of the default.
    #[command(flatten)]
    pub all: ReleaseProve,
}

/// The commands about releases.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// List everything that prevents a release of this commit, each with its remedy
    Check(ReleaseCheck),
    /// Build the archives, release.json and SHA256SUMS
    Build(ReleaseBuild),
    /// Build, rebuild in a varied environment and compare; build and test the archive offline
    Prove(ReleaseProve),
    /// Verify a downloaded release: signatures, checksums and content; explain differences
    #[command(disable_version_flag = true)]
    Verify(ReleaseVerify),
    /// Sign a release that was built here, or add signatures of other people
    Sign(ReleaseSign),
    /// Publish a signed release to all declared targets, read it back and compare; continues after any interruption
    Publish(ReleasePublish),
    /// Rehearse the whole release against stand-ins on this machine, with throw-away keys; the project is only read
    Rehearse(ReleaseRehearse),
    /// Show what is done of a release with the evidence, whose turn it is, and the exact next command
    Status(ReleaseStatus),
    /// Print the provenance of a release that was built here, whole or as GitHub's action takes it
    Provenance(ReleaseProvenance),
    /// Write another version into version files, lock files and the changelog of the work tree
    #[command(disable_version_flag = true)]
    Bump(ReleaseBump),
    /// Print the notes of the next release, from fragments, commits or pull requests
    Notes(ReleaseNotes),
    /// Make the branch for a point release, and list what may be carried over
    #[command(disable_version_flag = true)]
    Hotfix(ReleaseHotfix),
    /// Print the acts of a release of this project as Markdown
    Guide(ReleaseGuide),
}

/// The options that select a release.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OfRelease {
    /// Commit to release
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    pub commit: String,
    /// Tag that names the version, if the commit has several
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
    /// Do not require a tag; the version is derived, as in 1.2+git20260601.0123456789ab, or given for a clone without tags
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, conflicts_with = "tag")]
    pub untagged: Option<Option<Version>>,
    /// Build a nightly of this next version, or exactly the nightly with this version [default: the declared next version]
    #[arg(long, value_name = "NEXT", num_args = 0..=1, conflicts_with_all = ["tag", "untagged"])]
    pub nightly: Option<Option<Version>>,
}

/// The options that select a release with a tag.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TaggedRelease {
    /// Commit to release
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    pub commit: String,
    /// Tag that names the version, if the commit has several
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
}

/// `cargo xtask release check`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseCheck {
    /// The release.
    #[command(flatten)]
    pub of: OfRelease,
    /// Accept uncommitted changes in the work tree, which are not released
    #[arg(long)]
    pub allow_dirty: bool,
    /// Ask no other machine: neither for the tests of the commit nor for the targets
    #[arg(long)]
    pub offline: bool,
    /// Address of Launchpad's API
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask release build`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseBuild {
    /// The release.
    #[command(flatten)]
    pub of: OfRelease,
    /// Threads for xz, of about 130 MiB each; the number does not change the output [default: the processors, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Print what would be built, without building it
    #[arg(long)]
    pub dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Leave out the binary tarballs, which take minutes; without them, nothing is published
    #[arg(long)]
    pub sources_only: bool,
    /// The directory with the files that binary tarballs are built on; the varied rebuild shares it
    #[arg(long, value_name = "DIR", hide = true)]
    pub bases: Option<PathBuf>,
    /// The umask of the build, octal; the varied rebuild sets another one than the usual 022
    #[arg(long, value_name = "OCTAL", hide = true, value_parser = umask)]
    pub umask: Option<u32>,
    /// A file for what the build saw of its surroundings, as the varied rebuild reports it
    #[arg(long, value_name = "FILE", hide = true)]
    pub observe: Option<PathBuf>,
}

fn umask(text: &str) -> Result<u32, clap::Error> {
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| clap::Error::raw(clap::error::ErrorKind::ValueValidation, "not an octal number up to 777"))
}

/// `cargo xtask release prove`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseProve {
    /// Options of the build.
    #[command(flatten)]
    pub build: ReleaseBuild,
    /// Accept uncommitted changes in the work tree, which are not released
    #[arg(long)]
    pub allow_dirty: bool,
}

/// `cargo xtask release verify`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseVerify {
    /// Directory of a release, or some of its files [default: the release of HEAD in the state directory]
    #[arg(value_name = "DIR|FILE")]
    pub files: Vec<PathBuf>,
    /// Directory with the public keys of the signers, one file per person [default: as HEAD of the project declares]
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Number of people who must have signed, with --keys [default: 1]
    #[arg(long, value_name = "N", requires = "keys", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub quorum: Option<u32>,
    /// Require this version, so that an older release is not accepted in its place
    #[arg(long = "version", value_name = "VERSION")]
    pub expected_version: Option<Version>,
    /// Compare files with their lists only; do not ask who signed them
    #[arg(long, conflicts_with_all = ["keys", "sign"])]
    pub integrity_only: bool,
    /// Rebuild the release from the commit that release.json names, and compare
    #[arg(long)]
    pub rebuild: bool,
    /// Sign the release if the rebuild is the same, and write the signature to a file for the release captain
    #[arg(long, requires_all = ["rebuild", "key"])]
    pub sign: bool,
    /// Key for --sign: fingerprint or address of an OpenPGP key, or file of an SSH key
    #[arg(long, value_name = "KEY", requires = "sign")]
    pub key: Option<String>,
    /// Threads for xz with --rebuild [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask release sign`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseSign {
    /// Directory of the release [default: the release of HEAD in the state directory]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Sign with this key: fingerprint or address of an OpenPGP key, or file of an SSH key
    #[arg(long, value_name = "KEY", required_unless_present = "add")]
    pub key: Option<String>,
    /// Add signatures of other people from this file; may be repeated, in any order
    #[arg(long, value_name = "FILE")]
    pub add: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask release status`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseStatus {
    /// The release.
    #[command(flatten)]
    pub of: TaggedRelease,
    /// Ask no other machine: neither for the tests of the commit nor for the targets
    #[arg(long, conflicts_with = "announced")]
    pub offline: bool,
    /// Record that the published release was announced at this address
    #[arg(long, value_name = "URL")]
    pub announced: Option<String>,
    /// Also write one page for a browser to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Address of Launchpad's API
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask release provenance`
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleaseProvenance {
    /// The release.
    #[command(flatten)]
    pub of: TaggedRelease,
    /// What to print
    #[arg(long, value_enum, default_value_t = ProvenanceFormat::Statement)]
    pub format: ProvenanceFormat,
}

/// The parts of a provenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProvenanceFormat {
    /// The in-toto statement
    Statement,
    /// Only the predicate: the input `predicate-path` of actions/attest, with the type https://slsa.dev/provenance/v1
    Predicate,
    /// The files with their checksums: the input `subject-checksums` of actions/attest
    Subjects,
}

/// `cargo xtask release bump`
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleaseBump {
    /// The version of the next release
    #[arg(value_name = "VERSION")]
    pub version: Option<Version>,
    /// After a release: begin the version after it, VERSION or the last one raised, without an entry of the changelog
    #[arg(long)]
    pub next: bool,
    /// Print what would be written, without writing it
    #[arg(long)]
    pub dry_run: bool,
}

/// `cargo xtask release notes`
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleaseNotes {
    /// Where notes come from [default: fragments if there is a directory changelog.d, otherwise commits]
    #[arg(long, value_enum)]
    pub from: Option<NotesSource>,
    /// Leave out what this tag or commit has [default: the last release]
    #[arg(long, value_name = "REVISION")]
    pub since: Option<String>,
}

/// Where notes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NotesSource {
    /// Files such as changelog.d/12.fixed.md
    Fragments,
    /// Messages of commits such as `fix: TEXT`, or with a trailer `Changelog: fixed`
    Commits,
    /// Merged pull requests on GitHub, by their labels or titles
    Pulls,
}

/// `cargo xtask release hotfix`
#[derive(Debug, Clone, Args)]
pub(crate) struct ReleaseHotfix {
    /// The version of the point release
    #[arg(value_name = "VERSION")]
    pub version: Version,
    /// Name of the branch [default: release-VERSION]
    #[arg(long, value_name = "NAME")]
    pub branch: Option<String>,
    /// Print what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
}

/// `cargo xtask release guide`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseGuide {
    /// Also print the checklist of a project that releases by hand, with the act that replaces each of its items
    #[arg(long)]
    pub beside: bool,
}

/// `cargo xtask release publish`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleasePublish {
    /// The release.
    #[command(flatten)]
    pub of: TaggedRelease,
    /// Key that signs packages and promotion records [default: the declared key, or gpg's default key]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Publish without a proof of the sources; the reason is published too
    #[arg(long, value_name = "REASON", value_parser = crate::commands::release::proved::reason)]
    pub without_proof: Option<String>,
    /// Only fill the drafts, which need no signatures, and ask no other targets
    #[arg(long, conflicts_with = "dry_run")]
    pub draft: bool,
    /// Ask all targets, and print what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    /// Address of Launchpad's API
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask release rehearse`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseRehearse {
    /// Commit to rehearse
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    pub commit: String,
    /// Version to rehearse, which the version files and the changelog must have [default: that of the commit's tag or version file]
    #[arg(long = "as", value_name = "VERSION")]
    pub as_version: Option<Version>,
    /// Directory for everything that comes out of it [default: `rehearsal` in the state directory]
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
