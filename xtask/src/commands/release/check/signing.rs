//! The findings about who signs: the declared keys, the quorum, and the signature of the tag.

use crate::commands::now;
use crate::commands::release::policy;
use crate::commands::release_context::DeclaredCommit;
use drydock_base::git::Oid;
use drydock_base::hint;
use drydock_release::keyring::Keyring;
use drydock_release::manifest::Tag;
use drydock_release::preflight::Finding;
use drydock_release::tag::SignedTag;

/// Checks the keys, the quorum and the tag; no findings without a declared `signing`.
pub(super) fn check(commit: &DeclaredCommit, tag: Option<&Tag>) -> anyhow::Result<Vec<Finding>> {
    let Some(signing) = &commit.declaration.signing else { return Ok(Vec::new()) };
    let shown = signing.keys.display().to_string();
    let what = format!("everybody in {shown} has a valid key");
    let keyring = match policy::keyring(commit, signing) {
        Ok(keyring) => keyring,
        Err(error) => return Ok(vec![Finding::bad(what, format!("{error:#}"), "correct the keys, and commit them")]),
    };
    let mut findings = vec![keys(&keyring, what), quorum(&keyring, signing.quorum)];
    // A nightly or a trial has no tag.
    if let Some(tag) = tag {
        findings.push(signature(commit, tag, &keyring)?);
    }
    Ok(findings)
}

fn keys(keyring: &Keyring, what: String) -> Finding {
    let usable = keyring.usable(now());
    let problems = keyring.problems(now());
    let of = |only: &dyn Fn(&str) -> bool| {
        let chosen = problems.iter().filter(|one| only(&one.person));
        chosen.map(|one| format!("{}: {}", one.person, one.problem)).collect::<Vec<_>>().join("; ")
    };
    if usable.len() == keyring.people().len() {
        let old = of(&|_| true);
        let people = usable.into_iter().collect::<Vec<_>>().join(", ");
        // Old keys may stay, for the signatures of old releases.
        return Finding::good(what, if old.is_empty() { people } else { format!("{people} (old keys: {old})") });
    }
    let unusable = of(&|person| !usable.contains(person));
    let unusable = if unusable.is_empty() { "a key cannot sign".to_owned() } else { unusable };
    Finding::bad(what, unusable, "replace these keys by new ones, or remove these people, and commit that")
}

fn quorum(keyring: &Keyring, quorum: u32) -> Finding {
    let what = format!("{quorum} {} can sign", if quorum == 1 { "person" } else { "people" });
    let usable = keyring.usable(now()).len();
    if usable >= quorum as usize {
        return Finding::good(what, format!("{usable} have valid keys"));
    }
    let remedy = "add the public keys of more people, one file per person, or lower `signing.quorum`";
    Finding::bad(what, format!("only {usable} can, so nobody could ever verify the release"), remedy)
}

/// What the finding about the signature of a tag says.
pub(in crate::commands::release) fn is_signed(tag: &Tag) -> String {
    format!("the tag {} is signed by one of them", tag.name)
}

fn signature(commit: &DeclaredCommit, tag: &Tag, keyring: &Keyring) -> anyhow::Result<Finding> {
    let what = is_signed(tag);
    let id = commit.id.short();
    let again = hint::git(&commit.repository.directory, &["tag", "-f", "-s", &tag.name, id]);
    let remedy = format!("sign it with a declared key before you push it: `{again}`");
    let object = Oid::parse(&tag.object).filter(|object| *object != commit.id);
    let Some(object) = object else {
        return Ok(Finding::bad(what, "it is a lightweight tag, without a signature", remedy));
    };
    let content = commit.repository.read(&object)?.map(|object| object.content).unwrap_or_default();
    let signed = match SignedTag::read(&content, &tag.name, commit.id.as_str()) {
        Ok(signed) => signed,
        Err(error) => return Ok(Finding::bad(what, error.to_string(), remedy)),
    };
    let mut reasons = Vec::new();
    for judged in signed.judge(keyring, now())? {
        match judged {
            Ok(one) if one.judgement.counts() => {
                let person = one.person.unwrap_or_default();
                return Ok(Finding::good(what, format!("by {person} ({} {})", one.kind, one.key)));
            }
            Ok(one) => reasons.push(format!("{} ({} {})", one.judgement, one.kind, one.key)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Ok(Finding::bad(what, reasons.join("; "), remedy))
}
