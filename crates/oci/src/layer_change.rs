//! Applies the entries of a layer to the files below it, one after the other, as engines do when they unpack a layer.
//!
//! OCI image specification 1.1, layer.md, "Applying changesets": whiteouts remove files of lower layers, and none of their own.

use std::collections::BTreeSet;

use super::image_files::{FileKind, ImageFile, ImageFiles};
use super::layer_path::{Whiteout, hard_link_target, layer_path, link_target, whiteout};
use drydock_archive::read::{Member, MemberKind, ReadError};

/// The changes by one entry, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// What is removed, each with everything below it.
    pub(super) removed: Vec<String>,
    /// The directories that are made because no entry names them.
    pub(super) parents: Vec<String>,
    /// The file of the entry; none for a whiteout, and for the root.
    pub(super) placed: Option<Placed>,
}

/// A file that an entry makes, or a directory that it changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// The resolved path.
    pub(super) path: String,
    /// The type, which is that of the target for a hard link.
    pub(super) kind: FileKind,
    /// The resolved target of a hard link.
    pub(super) same_as: Option<String>,
    /// True for a directory that was there before.
    pub(super) existed: bool,
}

impl ImageFiles {
    /// Applies an entry. `fresh` has the paths that earlier entries of the layer placed.
    ///
    /// # Errors
    /// The path cannot be resolved, or the target of a hard link does not exist.
    pub(super) fn change(&mut self, member: &Member, fresh: &mut BTreeSet<String>) -> Result<Change, ReadError> {
        let path = layer_path(member)?;
        let mut change = Change::default();
        match whiteout(&path)? {
            Some(Whiteout::One(path)) => self.white_out(&path, true, fresh, &mut change.removed),
            Some(Whiteout::All(path)) => self.white_out(&path, false, fresh, &mut change.removed),
            None => self.place(&path, member, &mut change)?,
        }
        fresh.extend(change.placed.as_ref().map(|placed| placed.path.clone()));
        Ok(change)
    }

    fn place(&mut self, path: &str, member: &Member, change: &mut Change) -> Result<(), ReadError> {
        let real = self.resolved(path)?;
        if real.is_empty() {
            return Ok(());
        }
        let target = match &member.kind {
            MemberKind::HardLink(to) => Some(self.resolved(&hard_link_target(member, to)?)?),
            _ => None,
        };
        let existed = self.get(&real).map(|there| there.kind.clone());
        let stays = match &member.kind {
            MemberKind::Directory => existed == Some(FileKind::Directory),
            MemberKind::HardLink(_) => target.as_deref() == Some(&real),
            MemberKind::File | MemberKind::Link(_) | MemberKind::Other(_) => false,
        };
        if existed.is_some() && !stays {
            self.remove(&real);
            change.removed.push(real.clone());
        }
        let kind = match &member.kind {
            MemberKind::Directory => FileKind::Directory,
            MemberKind::File => FileKind::File,
            MemberKind::Link(target) => FileKind::Link(link_target(member, target)?),
            MemberKind::Other(_) => FileKind::Other,
            MemberKind::HardLink(to) => {
                let found = target.as_deref().and_then(|target| self.get(target));
                let kind = found.map(|found| found.kind.clone()).filter(|kind| *kind != FileKind::Directory);
                kind.ok_or_else(|| {
                    ReadError::Unsafe(format!("{path:?} is a hard link to {to:?}, which is not a file of the image"))
                })?
            }
        };
        for (at, _) in real.match_indices('/') {
            let directory = &real[..at];
            if self.get(directory).is_none() {
                self.set(directory, ImageFile { kind: FileKind::Directory, mode: 0o755, owner: (0, 0), time: 0 });
                change.parents.push(directory.to_owned());
            }
        }
        let found = ImageFile { kind: kind.clone(), mode: member.mode, owner: member.owner, time: member.time };
        self.set(&real, found);
        change.placed = Some(Placed { path: real, kind, same_as: target, existed: stays });
        Ok(())
    }

    fn resolved(&self, path: &str) -> Result<String, ReadError> {
        self.real(path).map_err(|error| ReadError::Unsafe(error.to_string()))
    }

    /// Removes a file, or with `itself` false what is in a directory, except for what the layer itself placed.
    fn white_out(&mut self, path: &str, itself: bool, fresh: &BTreeSet<String>, removed: &mut Vec<String>) {
        // What leads nowhere names nothing.
        let Ok(real) = self.real(path) else { return };
        let is_fresh = |path: &str| {
            let below = format!("{path}/");
            fresh.contains(path) || fresh.range(below.clone()..).next().is_some_and(|one| one.starts_with(&below))
        };
        if itself && !is_fresh(&real) {
            if self.get(&real).is_some() {
                self.remove(&real);
                removed.push(real);
            }
            return;
        }
        for child in self.children(&real).map(str::to_owned).collect::<Vec<_>>() {
            self.white_out(&child, true, fresh, removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_member::member;

    /// The paths after layers, with `/` behind directories and ` -> ` before targets of links.
    fn applied(layers: Vec<Vec<Member>>) -> Result<Vec<String>, String> {
        let mut files = ImageFiles::default();
        for layer in layers {
            let mut fresh = BTreeSet::new();
            for member in layer {
                files.change(&member, &mut fresh).map_err(|error| error.to_string())?;
            }
        }
        let mut open = vec![String::new()];
        let mut all = Vec::new();
        while let Some(directory) = open.pop() {
            for path in files.children(&directory) {
                all.push(match &files.get(path).unwrap().kind {
                    FileKind::Directory => format!("{path}/"),
                    FileKind::Link(target) => format!("{path} -> {target}"),
                    FileKind::File | FileKind::Other => path.to_owned(),
                });
                open.push(path.to_owned());
            }
        }
        all.sort();
        Ok(all)
    }

    #[test]
    fn entries_are_applied_in_their_order() {
        use MemberKind::{Directory, File, HardLink, Link, Other};
        let file = |path: &str| member(path, File);
        let directory = |path: &str| member(path, Directory);
        let link = |path: &str, target: &str| member(path, Link(target.into()));
        let hard = |path: &str, target: &str| member(path, HardLink(target.into()));
        let base = || vec![directory("usr"), directory("usr/bin"), file("usr/bin/a"), link("bin", "usr/bin")];
        for (name, lower, upper, expected) in [
            ("through a link", base(), vec![file("bin/b")], "bin -> usr/bin|usr/|usr/bin/|usr/bin/a|usr/bin/b"),
            ("a whiteout through a link", base(), vec![file("bin/.wh.a")], "bin -> usr/bin|usr/|usr/bin/"),
            ("a directory for a link", base(), vec![directory("bin")], "bin/|usr/|usr/bin/|usr/bin/a"),
            ("a file for a directory", base(), vec![file("usr")], "bin -> usr/bin|usr"),
            ("a directory for a file", vec![file("a")], vec![directory("a"), file("a/b")], "a/|a/b"),
            ("a device for a file", vec![file("a")], vec![member("a", Other("a device".into()))], "a"),
            ("a hard link to a lower file", vec![file("d/a")], vec![hard("b", "d/a")], "b|d/|d/a"),
            ("a hard link and its target gone", vec![file("a")], vec![hard("b", "a"), file(".wh.a")], "b"),
            ("a hard link to itself", vec![file("a")], vec![hard("a", "./a")], "a"),
            (
                "an opaque directory",
                base(),
                vec![file("usr/x/y"), file("usr/.wh..wh..opq")],
                "bin -> usr/bin|usr/|usr/x/|usr/x/y",
            ),
            ("a whiteout after its file", vec![file("a")], vec![file("a"), file(".wh.a")], "a"),
            ("a whiteout of nothing", vec![file("a")], vec![file(".wh.b"), file("a/.wh.c")], "a"),
            ("all of the image", base(), vec![file(".wh..wh..opq"), file("x")], "x"),
        ] {
            assert_eq!(applied(vec![lower, upper]).unwrap().join("|"), expected, "{name}");
        }
        for (name, layer, words) in [
            ("below a file", vec![file("a"), file("a/b")], "a is not a directory"),
            ("a link to nothing", vec![hard("a", "b")], "which is not a file of the image"),
            ("a link to a directory", vec![directory("a"), hard("b", "a")], "which is not a file of the image"),
            ("a link in place of its target", vec![file("a/b"), hard("a", "a/b")], "which is not a file of the image"),
        ] {
            let found = applied(vec![layer]).unwrap_err();
            assert!(found.contains(words), "{name}: {found}");
        }
    }
}
