//! The rule that apt can parse the build dependencies: `NAME[:ARCH] [(OP VERSION)] [\[ARCHS\]] [<PROFILES>]…`, alternatives
//! by `|`, all of them by `,`. Debian Policy, sections 7.1 and 5.6.

use super::{Facts, Upload};
use crate::version::DebVersion;

const FIELDS: [&str; 6] = [
    "Build-Depends",
    "Build-Depends-Indep",
    "Build-Depends-Arch",
    "Build-Conflicts",
    "Build-Conflicts-Indep",
    "Build-Conflicts-Arch",
];

pub(super) fn build_depends(upload: &Upload, _: &Facts) -> Vec<String> {
    let wrong = |field: &&str| {
        let why = upload.dsc.line(field).and_then(|text| parse(&text).err())?;
        Some(format!("{}: invalid {field} field; cannot be parsed by apt: {why}", upload.dsc_name))
    };
    FIELDS.iter().filter_map(wrong).collect()
}

/// The names in a field, the first of each alternative.
///
/// # Errors
/// The part that cannot be read.
pub fn parse(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    let parts: Vec<&str> = text.split(',').collect();
    for (at, group) in parts.iter().enumerate() {
        // Only the last comma may have nothing after it.
        if group.trim().is_empty() && at + 1 == parts.len() && at > 0 {
            continue;
        }
        for (which, alternative) in group.split('|').enumerate() {
            let name = one(alternative.trim())
                .map_err(|why| format!("Problem parsing dependency `{}`: {why}", group.trim()))?;
            if which == 0 {
                names.push(name);
            }
        }
    }
    Ok(names)
}

fn one(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+.-".contains(c);
    let end = text.find(|c: char| !is_name(c)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    if name.len() < 2 || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err("there is no name of a package".into());
    }
    if let Some(after) = rest.strip_prefix(':') {
        let end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
        if end == 0 {
            return Err("there is no architecture after `:`".into());
        }
        rest = &after[end..];
    }
    rest = rest.trim_start();
    if let Some(after) = rest.strip_prefix('(') {
        let (inside, after) = after.split_once(')').ok_or("a `(` is not closed")?;
        let inside = inside.trim();
        let version = ["<<", "<=", ">=", ">>", "="].iter().find_map(|operator| inside.strip_prefix(operator));
        let version = version.ok_or("the version has no operator such as `>=`")?.trim();
        version.parse::<DebVersion>().map_err(|_| format!("`{version}` is no version"))?;
        rest = after.trim_start();
    }
    for (open, close, least) in [('[', ']', 1), ('<', '>', 1)] {
        while let Some(after) = rest.strip_prefix(open) {
            let (inside, after) = after.split_once(close).ok_or_else(|| format!("a `{open}` is not closed"))?;
            let words: Vec<&str> = inside.split_whitespace().collect();
            let fits = |word: &str| {
                let word = word.strip_prefix('!').unwrap_or(word);
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
            };
            if words.len() < least || !words.iter().all(|word| fits(word)) {
                return Err(format!("`{open}{inside}{close}` cannot be read"));
            }
            rest = after.trim_start();
        }
    }
    if rest.is_empty() { Ok(name.to_owned()) } else { Err(format!("`{rest}` is too much")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_parses_is_parsed() {
        for (text, names) in [
            ("debhelper-compat (= 13), cargo,", &["debhelper-compat", "cargo"][..]),
            ("rustc-1.80 | rustc (>= 1.80)", &["rustc-1.80"]),
            ("a2:any (>= 1:2.0~rc1-3) [linux-any !s390x] <!nocheck> <!cross stage1>", &["a2"]),
            ("libfoo-dev(>=1)[amd64]<!nodoc>", &["libfoo-dev"]),
        ] {
            assert_eq!(parse(text).unwrap(), names, "{text}");
        }
        for text in [
            "",
            "a,,b2",
            "cargo >= 1",
            "cargo (1.0)",
            "cargo (>= )",
            "cargo (>= 1",
            "Cargo",
            "x",
            "ca [ ]",
            "ca <",
            "aa | ",
            "${misc:Depends}",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
