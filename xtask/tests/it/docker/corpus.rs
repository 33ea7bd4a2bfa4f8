//! What images come with, made by attackers and found by fuzzing: `good-*` is taken, `bad-*` refused, all of it soon.

use std::fs;
use std::path::Path;

use drydock_archive::read::{Limits, ReadError};
use drydock_config::images::Images;
use drydock_deb::binary::BinaryPackage;
use drydock_oci::dockerfile::Dockerfile;
use drydock_oci::layout::Layout;
use drydock_oci::model::{ParsedManifest, media};
use drydock_oci::unpack::unpack;

use crate::support::text;

#[test]
fn the_corpus_of_images_neither_panics_nor_escapes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/image");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = text(Path::new(path.file_name().unwrap()));
        let bytes = fs::read(&path).unwrap();
        let taken = is_taken(bytes[0], &bytes[1..]);
        if taken != name.starts_with("good-") {
            wrong.push(name.clone());
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "taken or refused wrongly: {wrong:?}");
    assert!(count >= 15, "only {count} files");
}

fn is_taken(kind: u8, bytes: &[u8]) -> bool {
    let directory = tempfile::tempdir().unwrap();
    match kind {
        b'm' => ParsedManifest::read(media::MANIFEST, bytes).is_ok(),
        b'i' => ParsedManifest::read(media::INDEX, bytes).is_ok(),
        b'y' => Images::parse(&String::from_utf8_lossy(bytes), Path::new("images.yaml")).is_ok(),
        b'f' => Dockerfile::parse(&String::from_utf8_lossy(bytes)).is_ok(),
        b'd' => {
            let file = directory.path().join("p.deb");
            fs::write(&file, bytes).unwrap();
            let visit = |package: BinaryPackage| -> Result<(), ReadError> {
                package.visit(Limits { bytes: 1 << 20, entries: 1000 }, &mut |_, _| Ok(()))
            };
            BinaryPackage::open(&file).and_then(visit).is_ok()
        }
        b'l' => {
            let layout = Layout::create(&directory.path().join("layout")).unwrap();
            let layer = layout.put(media::LAYER, bytes).unwrap();
            let root = directory.path().join("root");
            fs::create_dir(&root).unwrap();
            let taken = unpack(&layout, &[layer], &root, None).is_ok();
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "something stands outside of the root");
            taken
        }
        other => panic!("no kind {other}"),
    }
}
