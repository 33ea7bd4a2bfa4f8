//! `debian/copyright`: the project's own file, with paragraphs about the vendored crates.
//!
//! The machine-readable format 1.0 (DEP-5), and SPDX licence expressions as crates.io has them.

use std::collections::BTreeSet;

use super::control::{self, ControlError};
use drydock_archive::source::vendor::{CrateFile, VendoredCrate, VendoredCrates};

/// The licences whose texts every Debian system has in `/usr/share/common-licenses`, separated by spaces.
const COMMON: &str =
    "Apache-2.0 Artistic CC0-1.0 GFDL-1.2 GFDL-1.3 GPL-1 GPL-2 GPL-3 LGPL-2 LGPL-2.1 LGPL-3 MPL-1.1 MPL-2.0";

/// Why paragraphs cannot be added to `debian/copyright`.
#[derive(Debug, thiserror::Error)]
pub enum CopyrightError {
    /// The file cannot be parsed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The file does not start with the `Format` of the machine-readable format.
    #[error(
        "not in the machine-readable format; start the file with `Format: \
         https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/`"
    )]
    Format,
}

/// Adds a paragraph for each crate, and one for each licence that has none yet.
///
/// # Errors
/// [`CopyrightError`]
pub fn with_crates(own: &str, vendored: &VendoredCrates) -> Result<String, CopyrightError> {
    let paragraphs = control::parse(own)?;
    let format = paragraphs.first().and_then(|head| head.get("Format"));
    if !format.is_some_and(|format| format.contains("copyright-format/1.0")) {
        return Err(CopyrightError::Format);
    }
    let mut known: BTreeSet<String> = paragraphs
        .iter()
        .filter(|one| one.get("Files").is_none())
        .filter_map(|one| one.get("License")?.lines().next().map(str::to_owned))
        .collect();
    let mut text = format!("{}\n", own.trim_end());
    let mut texts = String::new();
    // Other directories of the project may have the same crates.
    let name = vendored.directory.rsplit('/').next().unwrap_or_default();
    for one in &vendored.crates {
        let expression = expression(one);
        text.push_str(&format!(
            "\nFiles: *{name}/{}/*\nCopyright: {}\nLicense: {expression}\n",
            one.directory(),
            holders(one).join("\n ")
        ));
        for name in names(&expression) {
            if known.insert(name.clone()) {
                texts.push_str(&format!("\nLicense: {name}\n{}", licence_text(&name, vendored)));
            }
        }
    }
    Ok(text + &texts)
}

/// The licence of a crate in the syntax of DEP-5: `Expat or Apache-2.0`.
fn expression(one: &VendoredCrate) -> String {
    let Some(spdx) = &one.manifest.license else { return format!("{}-own", one.package.name) };
    let words = spdx.replace('/', " OR ").replace(['(', ')'], "");
    let words = words.split_whitespace().map(|word| match word {
        "OR" => "or".to_owned(),
        "AND" => "and".to_owned(),
        "WITH" => "with".to_owned(),
        "MIT" => "Expat".to_owned(),
        "LLVM-exception" => "LLVM exception".to_owned(),
        name => name.trim_end_matches("-only").replace("-or-later", "+"),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The short names of the licences in an expression.
fn names(expression: &str) -> Vec<String> {
    let alternatives = expression.split(" or ").flat_map(|part| part.split(" and "));
    alternatives.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The copyright holders named in the licence files, else the authors.
fn holders(one: &VendoredCrate) -> Vec<String> {
    let mut holders = BTreeSet::new();
    for (_, file) in licence_files(one) {
        for line in String::from_utf8_lossy(&file.content).lines().map(str::trim) {
            let lower = line.to_lowercase();
            let year = line.bytes().any(|byte| byte.is_ascii_digit());
            if lower.starts_with("copyright") && year && !lower.contains("[yyyy]") && line.len() < 200 {
                holders.insert(line.trim_start_matches("Copyright").trim().replace("(c)", "").trim().to_owned());
            }
        }
    }
    holders.retain(|holder| !holder.is_empty());
    if holders.is_empty() {
        holders.extend(one.manifest.authors.iter().cloned());
    }
    if holders.is_empty() {
        holders.insert(format!("the authors of {}", one.package.name));
    }
    holders.into_iter().collect()
}

fn licence_files(one: &VendoredCrate) -> impl Iterator<Item = (&String, &CrateFile)> {
    one.files.iter().filter(|(path, _)| {
        let name = path.rsplit('/').next().unwrap_or_default().to_ascii_uppercase();
        !path.contains('/')
            && ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"].iter().any(|w| name.starts_with(w))
    })
}

/// The text of a licence: a reference to Debian's copy, else the text from the first crate that has it.
fn licence_text(name: &str, vendored: &VendoredCrates) -> String {
    let plain = name.trim_end_matches('+').trim_end_matches(".0").to_owned();
    let common = COMMON.split(' ').find(|common| name.trim_end_matches('+') == *common || plain == *common);
    if let (Some(common), false) = (common, name.contains(" with ")) {
        return format!(" The text is in /usr/share/common-licenses/{common}.\n");
    }
    let word = match name {
        "Expat" => "MIT".to_owned(),
        _ => name.split(['-', ' ']).next().unwrap_or_default().to_ascii_uppercase(),
    };
    let with = |one: &&VendoredCrate| names(&expression(one)).iter().any(|other| other == name);
    let mut found = None;
    for one in vendored.crates.iter().filter(with) {
        let named = licence_files(one).find(|(path, _)| path.to_ascii_uppercase().contains(&word));
        let only = licence_files(one).next().filter(|_| names(&expression(one)).len() == 1);
        found = found.or(named.or(only).map(|(_, file)| String::from_utf8_lossy(&file.content).into_owned()));
    }
    let Some(text) = found else {
        return " The crates do not contain the text; see https://spdx.org/licenses/ for it.\n".to_owned();
    };
    let lines = text.lines().map(str::trim_end).map(|line| match line.trim() {
        "" => " .\n".to_owned(),
        _ => format!(" {line}\n"),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_archive::source::vendor::Package;

    fn crate_with(name: &str, licence: &str, text: &str) -> VendoredCrate {
        let toml = format!("[package]\nname = \"{name}\"\nauthors = [\"An Author\"]\nlicense = \"{licence}\"\n");
        let file = |content: &str| CrateFile { executable: false, content: content.as_bytes().into() };
        let mut files = std::collections::BTreeMap::from([("Cargo.toml".to_owned(), file(&toml))]);
        if !text.is_empty() {
            files.insert("LICENSE-MIT".to_owned(), file(text));
        }
        let package = Package { name: name.into(), version: "1.0".into(), checksum: String::new() };
        VendoredCrate::new(package, files).unwrap()
    }

    #[test]
    fn every_crate_and_every_licence_gets_a_paragraph() {
        let own = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: me\nLicense: MPL-2.0\n";
        let crates = vec![
            crate_with("a", "MIT/Apache-2.0", "Copyright (c) 2020 Someone\n\nPermission\n"),
            crate_with("b", "MIT", ""),
            crate_with("c", "Apache-2.0 WITH LLVM-exception OR GPL-2.0-or-later", ""),
        ];
        let text = with_crates(own, &VendoredCrates { crates, lock_format: 3, directory: "vendor".into() }).unwrap();
        let paragraphs = control::parse(&text).unwrap();
        let field = |at: usize, name: &str| paragraphs[at].get(name).unwrap().to_owned();
        assert_eq!(field(2, "License"), "Expat or Apache-2.0");
        assert_eq!(field(2, "Copyright"), "2020 Someone");
        assert_eq!(field(3, "Copyright"), "An Author");
        assert_eq!(field(4, "License"), "Apache-2.0 with LLVM exception or GPL-2.0+");
        let texts: Vec<String> = (5..paragraphs.len()).map(|at| field(at, "License")).collect();
        assert_eq!(texts[0], "Expat\nCopyright (c) 2020 Someone\n\nPermission");
        assert_eq!(texts[1], "Apache-2.0\nThe text is in /usr/share/common-licenses/Apache-2.0.");
        assert!(texts[2].starts_with("Apache-2.0 with LLVM exception\n"), "{}", texts[2]);
        assert_eq!(texts[3], "GPL-2.0+\nThe text is in /usr/share/common-licenses/GPL-2.");
        assert_eq!(texts.len(), 4);
        let none = VendoredCrates { crates: Vec::new(), lock_format: 3, directory: "vendor".into() };
        assert!(matches!(with_crates("Files: *\n", &none), Err(CopyrightError::Format)));
    }
}
