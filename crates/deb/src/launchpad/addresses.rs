//! The rule about the addresses in `Maintainer` and `Changed-By`, for which Launchpad finds or makes a person.

use super::{CheckContext, Upload};

pub(super) fn addresses(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let fields = [upload.changes.line("Maintainer"), upload.changes.line("Changed-By"), upload.dsc.line("Maintainer")];
    let mut texts: Vec<String> = fields.into_iter().flatten().filter_map(|field| wrong(&field)).collect();
    texts.dedup();
    texts
}

/// Why Launchpad does not take a field for a name and an address.
fn wrong(field: &str) -> Option<String> {
    let (name, email) = match field.split_once('<') {
        None => ("", field),
        Some(("", rest)) if rest.ends_with('>') => ("", &rest[..rest.len() - 1]),
        Some(_) => match parts(field) {
            Some(parts) => parts,
            // Launchpad names this field for all of them.
            None => return Some(format!("{field}: doesn't parse as a valid Maintainer field.")),
        },
    };
    if !email.contains('@') {
        return Some(format!("{field}: no @ found in email address part."));
    }
    (!is_valid(email)).then(|| format!("Unable to identify '{name}':<{email}> in launchpad"))
}

/// The name and the address of `NAME <ADDRESS>`; text after it is ignored, as Launchpad does.
fn parts(field: &str) -> Option<(&str, &str)> {
    // The last part in angle brackets counts, so that a name may contain them.
    let mut end = field.len();
    loop {
        let open = field[..end].rfind('<')?;
        let name = field[..open].trim();
        let inner = field[open + 1..].split_once('>').map(|(inner, _)| inner.trim_start_matches('<'));
        match inner {
            Some(email) if !email.is_empty() && name.chars().count() > 1 => return Some((name, email)),
            Some(_) | None => end = open,
        }
    }
}

/// Whether Launchpad makes a person for an address.
fn is_valid(email: &str) -> bool {
    let Some((local, host)) = email.split_once('@') else { return false };
    let word = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    let (parts, last) = host.rsplit_once('.').map_or((None, host), |(parts, last)| (Some(parts), last));
    let is_part = |part: &str| word(part, "-") && !part.starts_with('-') && !part.ends_with('-');
    word(local, "_.-+=") && last.len() > 1 && word(last, "-") && parts.is_none_or(|parts| parts.split('.').all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_as_launchpad_does() {
        for good in [
            "A Name <a@example.org>",
            "Ä. Näme, Jr. <a.b+c=d@x-y.example.xn--deba0ad>",
            "a@example.org",
            "<a@tv>",
            "A (team) <a@example.org> (comment)",
            "A <old@example.org>, B <b@example.org>",
        ] {
            assert_eq!(wrong(good), None, "{good}");
        }
        for (bad, text) in [
            ("A Name", "A Name: no @ found in email address part."),
            ("A Name <a.example.org>", "A Name <a.example.org>: no @ found in email address part."),
            ("A Name <a@example.org", "A Name <a@example.org: doesn't parse as a valid Maintainer field."),
            ("A <a@example.org>", "A <a@example.org>: doesn't parse as a valid Maintainer field."),
            ("A Name <>", "A Name <>: doesn't parse as a valid Maintainer field."),
            ("A Name <a b@example.org>", "Unable to identify 'A Name':<a b@example.org> in launchpad"),
            ("A Name <a@-x.org>", "Unable to identify 'A Name':<a@-x.org> in launchpad"),
            ("A Name <a@x..org>", "Unable to identify 'A Name':<a@x..org> in launchpad"),
            ("A Name <a@b@x.org>", "Unable to identify 'A Name':<a@b@x.org> in launchpad"),
            ("A Name a@example.org", "Unable to identify '':<A Name a@example.org> in launchpad"),
        ] {
            assert_eq!(wrong(bad).as_deref(), Some(text), "{bad}");
        }
    }
}
