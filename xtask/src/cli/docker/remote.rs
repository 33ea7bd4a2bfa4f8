//! Command line types of the commands that change registries.

use clap::Args;

use crate::cli::Format;
use drydock_config::release::Version;

/// `cargo xtask docker promote`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerPromote {
    /// Version to promote; its signed tag names the commit [default: the version of HEAD's tag]
    #[arg(id = "promoted-version", value_name = "VERSION")]
    pub version: Option<Version>,
    /// Only this declared image; may be repeated
    #[arg(long = "image", value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Fingerprint or address of the key that signs the record [default: gpg's default key]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Publish without a proof of the sources; the reason is published too
    #[arg(long, value_name = "REASON", value_parser = crate::commands::release::proved::reason)]
    pub without_proof: Option<String>,
    /// Print what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask docker prune`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerPrune {
    /// Names of declared images [default: all]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Delete; without this option, only print what would be deleted
    #[arg(long)]
    pub apply: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
