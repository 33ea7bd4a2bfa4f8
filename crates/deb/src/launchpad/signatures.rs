//! Rules about signatures: who signs is known to gpg here, and to Launchpad there.

use super::{Facts, Signature, Upload};

pub(super) fn changes(upload: &Upload, facts: &Facts) -> Vec<String> {
    if upload.changes_name.is_empty() {
        return Vec::new();
    }
    of(&upload.changes_name, &upload.changes_signature, facts)
}

pub(super) fn dsc(upload: &Upload, facts: &Facts) -> Vec<String> {
    if upload.dsc_name.is_empty() {
        return Vec::new();
    }
    let mut texts = of(&upload.dsc_name, &upload.dsc_signature, facts);
    if let (Signature::Good(one), Signature::Good(other)) = (&upload.changes_signature, &upload.dsc_signature) {
        if one != other && !upload.changes_name.is_empty() {
            texts.push(format!("{} is signed by {other}, but {} by {one}", upload.dsc_name, upload.changes_name));
        }
    }
    texts
}

fn of(name: &str, signature: &Signature, facts: &Facts) -> Vec<String> {
    match signature {
        Signature::Good(_) => Vec::new(),
        Signature::None if facts.unsigned => Vec::new(),
        Signature::None => {
            vec![format!(
                "GPG verification of {name} failed: Verification failed 3 times: ['No data', 'No data', 'No data']"
            )]
        }
        // Another's package is checked without having the keys of whoever signed it.
        Signature::Bad(why) if facts.unsigned && why.contains("No public key") => Vec::new(),
        Signature::Bad(why) => vec![format!(
            "GPG verification of {name} failed: {why} (of a key that Launchpad does not know, no mail is sent at all)"
        )],
    }
}
