//! Makes items of a layer of the entries of archives, packages and other layers. What a layer can hold is kept; what depends on
//! the machine is left out and reported; everything else is refused by name.

use std::collections::BTreeMap;
use std::io::Read;

use super::layer_path::clean_path;
use drydock_archive::layer::{Item, ItemKind, Layer};
use drydock_archive::read::{Member, MemberKind, ReadError};
use drydock_base::output;
use drydock_base::text::one_line;

/// The treatment of a property of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// It becomes an attribute in the layer.
    Keep,
    /// It is left out, and the reason is reported.
    Omit(&'static str),
    /// The entry is refused: without the property, the file would be another one.
    Refuse { what: &'static str, remedy: &'static str },
}

use Treatment::{Keep, Omit};

const LABEL: Treatment = Omit("each machine sets its own");
const ACCESS_LIST: Treatment = Treatment::Refuse {
    what: "an access control list",
    remedy: "images hold none; remove it with `setfacl --remove-all`, or pack with `--no-acls`",
};
const OVERLAY: Treatment = Treatment::Refuse {
    what: "a mark of an overlay file system",
    remedy: "pack the files of the mounted file system, not those of its upper directory",
};

/// The treatment of attributes and of other properties, by the beginning of their names; the first match counts. Engines keep
/// `security.capability` and `user.` when they unpack a layer.
const TREATMENTS: [(&str, Treatment); 13] = [
    ("security.capability", Keep),
    ("user.overlay.", OVERLAY),
    ("trusted.overlay.", OVERLAY),
    ("user.", Keep),
    ("security.selinux", LABEL),
    ("security.apparmor", LABEL),
    ("security.SMACK64", LABEL),
    ("security.evm", Omit("it is valid on one machine")),
    ("system.posix_acl_", ACCESS_LIST),
    ("system.nfs4_acl", ACCESS_LIST),
    ("SCHILY.acl.", ACCESS_LIST),
    ("SCHILY.fflags", Omit("layers have no flags of files")),
    ("", Omit("engines do not keep it")),
];

fn treatment(name: &str) -> Treatment {
    TREATMENTS.into_iter().find(|(start, _)| name.starts_with(start)).map_or(Keep, |(_, treatment)| treatment)
}

/// The properties of files that were left out of a layer.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Omitted {
    /// The number of files and the first of them, by the name of the property.
    by_name: BTreeMap<String, (usize, String)>,
}

impl Omitted {
    fn add(&mut self, name: &str, path: &str) {
        self.by_name.entry(name.to_owned()).or_insert_with(|| (0, path.to_owned())).0 += 1;
    }

    /// Returns a line for each property.
    pub fn lines(&self) -> Vec<String> {
        let line = |(name, (count, first)): (&String, &(usize, String))| {
            let why = match treatment(name) {
                Omit(why) => why,
                Keep | Treatment::Refuse { .. } => "engines do not keep it",
            };
            let files = if *count == 1 { format!("/{first}") } else { format!("{count} files, such as /{first}") };
            format!("{} of {files}: {why}", one_line(name, 80))
        };
        self.by_name.iter().map(line).collect()
    }

    /// Prints what was left out of a layer. `source` is what the layer was made of.
    pub fn report(&self, source: &str) {
        for line in self.lines() {
            output::err(format_args!("note: {source}: left out {line}"));
        }
    }
}

/// Makes an item of an entry, whose normalised path is `path`. The content is put aside in the layer; the item itself is not
/// added.
///
/// # Errors
/// The entry is a device or the like, has a property that layers do not hold, or its content cannot be copied.
pub fn item(
    layer: &mut Layer,
    path: &str,
    member: &Member,
    content: &mut dyn Read,
    omitted: &mut Omitted,
) -> Result<Item, ReadError> {
    if let Some(target) = &member.raw_link {
        let what = format!("a target that is not valid UTF-8: `{}`", target.escape_ascii());
        let remedy = "rename the target, or leave out the link";
        return Err(ReadError::NotKept { path: format!("the link {path:?}"), what, remedy });
    }
    if let MemberKind::Link(target) = &member.kind {
        if target.is_empty() || target.contains('\0') {
            return Err(ReadError::Unsafe(format!(
                "the link {path:?} has the target {target:?}, which no link can have"
            )));
        }
    }
    let attributes = attributes(path, member, omitted)?;
    let kind = match &member.kind {
        MemberKind::Directory => ItemKind::Directory,
        MemberKind::File => ItemKind::File(layer.keep(content)?),
        MemberKind::Link(target) => ItemKind::Link(target.clone()),
        MemberKind::HardLink(to) => ItemKind::HardLink(clean_path(to)?),
        MemberKind::Other(what) => {
            let remedy = "images are made of files, directories and links; pack without it";
            return Err(ReadError::NotKept { path: format!("{path:?}"), what: format!("the type of {what}"), remedy });
        }
    };
    Ok(Item { kind, mode: member.mode, owner: member.owner, time: member.time, attributes })
}

/// Returns the attributes that are kept, sorted by name.
fn attributes(path: &str, member: &Member, omitted: &mut Omitted) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
    let mut kept = BTreeMap::new();
    for (name, value) in member.attributes.iter().chain(&member.properties) {
        if name == "SCHILY.acl.access" && is_mode_alone(value) {
            continue;
        }
        match treatment(name) {
            // A record ends its name at the first `=`; GNU tar and libarchive encode some letters by `%`, and engines do not.
            Keep if name.contains(|letter: char| "=%".contains(letter) || letter.is_control()) => {
                let what = format!("the attribute {name:?}");
                let remedy = "programs do not agree about such names; remove it";
                return Err(ReadError::NotKept { path: format!("{path:?}"), what, remedy });
            }
            Keep if value.is_empty() => omitted.add(&format!("{name} without a value"), path),
            Keep => drop(kept.insert(name.clone(), value.clone())),
            Omit(_) => omitted.add(name, path),
            Treatment::Refuse { what, remedy } => {
                let what = format!("{what} ({})", one_line(name, 80));
                return Err(ReadError::NotKept { path: format!("{path:?}"), what, remedy });
            }
        }
    }
    Ok(kept.into_iter().collect())
}

/// Returns true for an access control list that says the same as the permission bits. GNU tar writes such lists for
/// directories with a default list.
fn is_mode_alone(list: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(list) else { return false };
    let mut entries = text.split(['\n', ',']).filter(|entry| !entry.is_empty());
    entries.all(|entry| ["user::", "group::", "other::"].iter().any(|start| entry.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_member::member;

    fn made(member: &Member) -> Result<(Item, Vec<String>), String> {
        let mut layer = Layer::new(&std::env::temp_dir()).unwrap();
        let mut omitted = Omitted::default();
        let item = item(&mut layer, "opt/x", member, &mut std::io::empty(), &mut omitted);
        item.map(|item| (item, omitted.lines())).map_err(|error| error.to_string())
    }

    #[test]
    fn properties_are_kept_or_reported_or_refused() {
        let record = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
        let mut file = member("opt/x", MemberKind::File);
        file.attributes = ["user.b", "security.selinux", "security.ima", "security.capability", "user.a"]
            .map(|name| record(name, &[1]))
            .to_vec();
        file.properties = vec![
            record("SCHILY.acl.access", b"user::rw-\ngroup::r--\nother::r--\n"),
            record("SCHILY.fflags", b"nodump"),
        ];
        let (item, omitted) = made(&file).unwrap();
        let names: Vec<&str> = item.attributes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["security.capability", "user.a", "user.b"]);
        assert_eq!(
            omitted,
            [
                "SCHILY.fflags of /opt/x: layers have no flags of files",
                "security.ima of /opt/x: engines do not keep it",
                "security.selinux of /opt/x: each machine sets its own",
            ]
        );
        for (name, value, words) in [
            ("SCHILY.acl.access", &b"user::rw-,user:bob:rw-"[..], "has an access control list (SCHILY.acl.access)"),
            ("SCHILY.acl.default", b"user::rwx", "has an access control list"),
            ("SCHILY.acl.ace", b"x", "has an access control list"),
            ("system.posix_acl_access", b"x", "has an access control list"),
            ("trusted.overlay.opaque", b"y", "has a mark of an overlay file system"),
            ("user.overlay.whiteout", b"y", "has a mark of an overlay file system"),
            ("user.a=b", b"y", "the attribute \"user.a=b\""),
            ("user.a%20b", b"y", "the attribute \"user.a%20b\""),
        ] {
            let mut file = member("opt/x", MemberKind::File);
            file.attributes = vec![record(name, value)];
            let found = made(&file).unwrap_err();
            assert!(found.starts_with("\"opt/x\" has ") && found.contains(words), "{name}: {found}");
        }
    }

    #[test]
    fn what_cannot_be_an_item_is_refused_by_name() {
        let device = made(&member("opt/x", MemberKind::Other("a named pipe".into()))).unwrap_err();
        assert!(device.starts_with("\"opt/x\" has the type of a named pipe; "), "{device}");
        for target in ["", "a\0b"] {
            let found = made(&member("opt/x", MemberKind::Link(target.into()))).unwrap_err();
            assert!(found.contains("which no link can have"), "{found}");
        }
        let mut link = member("opt/x", MemberKind::Link("lat\u{fffd}".into()));
        link.raw_link = Some(b"lat\xe4".to_vec());
        assert!(made(&link).unwrap_err().contains("the link \"opt/x\" has a target that is not valid UTF-8"));
    }
}
