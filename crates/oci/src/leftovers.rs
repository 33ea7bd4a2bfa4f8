//! Leftovers of a build: files that no program needs and that differ between builds, such as logs and caches.

use std::collections::BTreeMap;
use std::io::Read;

use super::member_item::{self, Omitted};
use drydock_archive::layer::{Item, ItemKind, Layer};
use drydock_archive::read::{Member, MemberKind, ReadError};

/// The files that were left out of a layer, which later hard links may name.
#[derive(Debug, Default)]
pub struct Leftovers {
    dropped: BTreeMap<String, Item>,
    /// Names that replace the names that were left out, as they have the same content.
    instead: BTreeMap<String, String>,
    /// The properties of files that were left out.
    pub omitted: Omitted,
}

impl Leftovers {
    /// Copies a member of a tar file to a layer, under its normalised path, unless it is a leftover.
    ///
    /// # Errors
    /// See [`member_item::item`].
    pub fn take(
        &mut self,
        layer: &mut Layer,
        path: String,
        member: &Member,
        content: &mut dyn Read,
    ) -> Result<(), ReadError> {
        // A container gets its devices from its engine.
        if matches!(member.kind, MemberKind::Other(_)) && is_leftover(&path) {
            return Ok(());
        }
        let item = member_item::item(layer, &path, member, content, &mut self.omitted)?;
        self.put(layer, path, item);
        Ok(())
    }

    /// Puts an item into a layer, unless it is a leftover. Symlinks stay, as images redirect logs with them, and so do
    /// whiteouts.
    pub fn put(&mut self, layer: &mut Layer, path: String, mut item: Item) {
        self.instead.remove(&path);
        if let ItemKind::HardLink(to) = &mut item.kind {
            // Names are never replaced by themselves, nor by names that were replaced before, so this ends.
            while let Some(name) = self.instead.get(to.as_str()) {
                name.clone_into(to);
            }
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let is_file = matches!(item.kind, ItemKind::File(_) | ItemKind::HardLink(_));
        let is_dropped = is_file && !name.starts_with(".wh.") && is_leftover(&path);
        match &item.kind {
            ItemKind::HardLink(to) => {
                if let Some(file) = self.dropped.remove(to) {
                    // The content goes with this name, whether that stays or waits for the next one.
                    self.instead.insert(to.clone(), path.clone());
                    item.kind = file.kind;
                } else if is_dropped {
                    if *to != path {
                        self.instead.insert(path, to.clone());
                    }
                    return;
                }
            }
            ItemKind::Directory | ItemKind::File(_) | ItemKind::Link(_) => {}
        }
        if is_dropped {
            self.dropped.insert(path, item);
        } else {
            layer.put(path, item);
        }
    }
}

/// Returns true for the path of a leftover: logs, caches, package lists, names of the machine, and devices, which a
/// container gets from its engine.
fn is_leftover(path: &str) -> bool {
    let within = |directory: &str| path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    let backup = |directory: &str| within(directory) && path.ends_with("-old");
    within("var/log")
        || within("var/lib/apt/lists")
        || within("var/cache/apt")
        || within("dev")
        || within("proc")
        || within("sys")
        || backup("var/lib/dpkg")
        || backup("var/cache/debconf")
        || matches!(
            path,
            "var/cache/ldconfig/aux-cache"
                | "etc/hostname"
                | "etc/resolv.conf"
                | "etc/machine-id"
                | "var/lib/dbus/machine-id"
                | "var/lib/systemd/random-seed"
                | "run/.containerenv"
                | ".dockerenv"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leftovers_are_omitted() {
        for path in
            ["var/log/dpkg.log", "var/log/apt/history.log", "etc/machine-id", "var/lib/dpkg/status-old", "dev/null"]
        {
            assert!(is_leftover(path), "{path}");
        }
        for path in ["var/log", "var/logs/x", "var/lib/dpkg/status", "etc/hosts", "var/lib/x-old", "devices/x", "dev"] {
            assert!(!is_leftover(path), "{path}");
        }
    }

    #[test]
    fn symlinks_and_whiteouts_stay_and_no_content_is_lost() {
        let mut layer = Layer::new(&std::env::temp_dir()).unwrap();
        let content = layer.keep(&mut &b"x"[..]).unwrap();
        let mut leftovers = Leftovers::default();
        let mut put = |path: &str, kind: ItemKind| {
            leftovers.put(&mut layer, path.into(), Item { kind, ..Item::directory(0) });
        };
        let hard = |to: &str| ItemKind::HardLink(to.into());
        put("var/log/out", ItemKind::Link("/dev/stdout".into()));
        put("var/log/.wh.base.log", ItemKind::File(content));
        put("etc/resolv.conf", ItemKind::Link("../run/x".into()));
        put("var/log/plain", ItemKind::File(content));
        // The first name and the second are left out, the third has the content, a fourth leads to it.
        put("var/log/first", ItemKind::File(content));
        put("var/log/second", hard("var/log/first"));
        put("opt/third", hard("var/log/first"));
        put("opt/fourth", hard("var/log/first"));
        // A link that was left out leads on to what stayed.
        put("opt/stays", ItemKind::File(content));
        put("var/log/link", hard("opt/stays"));
        put("opt/too", hard("var/log/link"));
        // Names that lead to each other do not make it go round.
        put("var/log/a", hard("var/log/b"));
        put("var/log/b", hard("var/log/a"));
        put("var/log/b", hard("var/log/b"));
        put("var/log/a", hard("var/log/b"));
        let kinds: Vec<(&str, ItemKind)> = layer.items().map(|(path, item)| (path, item.kind.clone())).collect();
        let expected = [
            ("etc/resolv.conf", ItemKind::Link("../run/x".into())),
            ("opt/fourth", hard("opt/third")),
            ("opt/stays", ItemKind::File(content)),
            ("opt/third", ItemKind::File(content)),
            ("opt/too", hard("opt/stays")),
            ("var/log/.wh.base.log", ItemKind::File(content)),
            ("var/log/out", ItemKind::Link("/dev/stdout".into())),
        ];
        assert_eq!(kinds, expected);
    }
}
