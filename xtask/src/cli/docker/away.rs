//! Command line types of what becomes of images in their registries.

use clap::Args;

use crate::cli::Format;
use drydock_config::release::Version;

/// `cargo xtask docker promote`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerPromote {
    /// The version; its commit is that of its signed tag [default: that of HEAD's tag]
    #[arg(id = "promoted-version", value_name = "VERSION")]
    pub version: Option<Version>,
    /// Only these of the declared images
    #[arg(long = "image", value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Sign the record with the key of this fingerprint or address [default: the one that gpg takes by itself]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask docker prune`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerPrune {
    /// Names of declared images [default: all]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Delete; without it, only tell what would be deleted
    #[arg(long)]
    pub apply: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
