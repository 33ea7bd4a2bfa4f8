//! An entry of a tar file for tests.

use drydock_archive::read::{Member, MemberKind};

/// An entry without content, attributes or owner.
pub(crate) fn member(path: &str, kind: MemberKind) -> Member {
    Member {
        path: path.into(),
        raw_path: None,
        kind,
        mode: 0o644,
        owner: (0, 0),
        time: 0,
        raw_link: None,
        attributes: Vec::new(),
        properties: Vec::new(),
        extension: None,
        size: 0,
        offset: 0,
        fields: Vec::new(),
    }
}
