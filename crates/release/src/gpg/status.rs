//! The status output of `gpg --verify`, as data.

/// gpg's statement about one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureStatus {
    /// The kind of statement; none if there is none or more than one, which nothing may be concluded from.
    pub kind: Option<StatusKind>,
    /// The long key id or the fingerprint that the signature names; empty if it names none.
    pub key: String,
    /// The details of a signature whose mathematics are right; also of an expired one, or one by an expired or revoked key.
    pub valid: Option<ValidSignature>,
}

/// The kinds of statements about a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusKind {
    /// `GOODSIG`: by a key that is valid.
    Good,
    /// `EXPKEYSIG`: by a key that has expired. gpg says this of revoked keys too, if they have also expired.
    ExpiredKey,
    /// `REVKEYSIG`: by a key that is revoked.
    RevokedKey,
    /// `EXPSIG`: the signature itself has expired.
    Expired,
    /// `BADSIG`: of other content.
    Bad,
    /// `ERRSIG`: it cannot be checked, mostly because the key is not there.
    Unchecked,
}

/// The fields of `VALIDSIG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidSignature {
    /// The fingerprint of the key or subkey that signed.
    pub fingerprint: String,
    /// The time at which it was made, in seconds since 1970, as the signature states it.
    pub made: i64,
    /// The number of the digest's algorithm (RFC 9580, section 9.5).
    pub digest: u32,
    /// The class of the signature: 0 for binary content, 1 for text.
    pub class: u32,
    /// The fingerprint of the primary key.
    pub primary: String,
}

/// Reads status output: one element for each `NEWSIG`.
pub fn parse_status(text: &str) -> Vec<SignatureStatus> {
    let mut all: Vec<SignatureStatus> = Vec::new();
    // The number of statements of the last signature; two contradict each other.
    let mut statements = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let mut words = line.split(' ');
        let keyword = words.next().unwrap_or_default();
        if keyword == "NEWSIG" {
            all.push(SignatureStatus { kind: None, key: String::new(), valid: None });
            statements = 0;
            continue;
        }
        let kind = match keyword {
            "GOODSIG" => StatusKind::Good,
            "EXPKEYSIG" => StatusKind::ExpiredKey,
            "REVKEYSIG" => StatusKind::RevokedKey,
            "EXPSIG" => StatusKind::Expired,
            "BADSIG" => StatusKind::Bad,
            "ERRSIG" => StatusKind::Unchecked,
            "VALIDSIG" => {
                if let Some(last) = all.last_mut() {
                    let repeated = last.valid.is_some();
                    last.valid = valid(words).filter(|_| !repeated);
                    if repeated {
                        last.kind = None;
                    }
                }
                continue;
            }
            _ => continue,
        };
        if let Some(last) = all.last_mut() {
            statements += 1;
            last.kind = (statements == 1).then_some(kind);
            last.key = words.next().unwrap_or_default().to_owned();
            // Newer versions of gpg end `ERRSIG` with the fingerprint, or `-`.
            if let (StatusKind::Unchecked, Some(fingerprint)) = (kind, words.nth(5)) {
                if is_fingerprint(fingerprint) {
                    last.key = fingerprint.to_owned();
                }
            }
        }
    }
    all
}

/// The fields of `VALIDSIG FINGERPRINT DATE TIME EXPIRY VERSION RESERVED ALGORITHM DIGEST CLASS PRIMARY`.
fn valid<'a>(words: impl Iterator<Item = &'a str>) -> Option<ValidSignature> {
    let words: Vec<&str> = words.collect();
    let [fingerprint, _, made, _, _, _, _, digest, class, primary] = words[..] else { return None };
    (is_fingerprint(fingerprint) && is_fingerprint(primary)).then_some(())?;
    Some(ValidSignature {
        fingerprint: fingerprint.to_owned(),
        made: made.parse().ok()?,
        digest: digest.parse().ok()?,
        class: u32::from_str_radix(class, 16).ok()?,
        primary: primary.to_owned(),
    })
}

fn is_fingerprint(word: &str) -> bool {
    matches!(word.len(), 32 | 40 | 64) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "675C1C4182B46025A0A411D470C3E23108B87F5B";
    const PRIMARY: &str = "3A1D1FA3E8EDEC70831F58D181009CB81469C967";

    fn valid_line() -> String {
        format!("[GNUPG:] VALIDSIG {ONE} 2026-11-29 1795912046 0 4 0 22 8 00 {PRIMARY}\n")
    }

    #[track_caller]
    fn check(text: &str, expected: &[(Option<StatusKind>, &str, bool)]) {
        let found = parse_status(text);
        let found: Vec<_> = found.iter().map(|one| (one.kind, one.key.as_str(), one.valid.is_some())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn each_signature_has_one_statement() {
        let valid = valid_line();
        check(
            &format!("[GNUPG:] NEWSIG a@b\n[GNUPG:] GOODSIG 70C3 a <a@b>\n{valid}"),
            &[(Some(StatusKind::Good), "70C3", true)],
        );
        check(
            &format!(
                "[GNUPG:] NEWSIG\n[GNUPG:] EXPKEYSIG AA x\n{valid}[GNUPG:] NEWSIG\n[GNUPG:] BADSIG BB y\n[GNUPG:] NEWSIG\n\
                 [GNUPG:] ERRSIG CC 1 10 00 1 9 -\n[GNUPG:] NEWSIG\n[GNUPG:] ERRSIG CC 1 10 00 1 9 {ONE}\n"
            ),
            &[
                (Some(StatusKind::ExpiredKey), "AA", true),
                (Some(StatusKind::Bad), "BB", false),
                (Some(StatusKind::Unchecked), "CC", false),
                (Some(StatusKind::Unchecked), ONE, false),
            ],
        );
    }

    #[test]
    fn contradictions_and_lines_that_only_look_like_status_count_for_nothing() {
        let valid = valid_line();
        for text in [
            // Before any signature, and as a part of another line.
            format!("[GNUPG:] GOODSIG AA x\n{valid}"),
            format!("gpg: [GNUPG:] NEWSIG\ngpg: [GNUPG:] GOODSIG AA x\n {valid}"),
        ] {
            check(&text, &[]);
        }
        let revoked = format!("[GNUPG:] NEWSIG\n[GNUPG:] REVKEYSIG AA x [GNUPG:] GOODSIG\n{valid}");
        check(&revoked, &[(Some(StatusKind::RevokedKey), "AA", true)]);
        let both = format!("[GNUPG:] NEWSIG\n[GNUPG:] BADSIG AA x\n[GNUPG:] GOODSIG AA x\n{valid}");
        check(&both, &[(None, "AA", true)]);
        let twice = format!("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AA x\n{valid}{valid}");
        check(&twice, &[(None, "AA", false)]);
        let cut = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AA x\n[GNUPG:] VALIDSIG AA 2026-11-29 1 0 4 0 22 8 00\n";
        check(cut, &[(Some(StatusKind::Good), "AA", false)]);
    }
}
