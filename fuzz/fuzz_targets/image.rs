//! Arbitrary bytes as what images come with: manifests, declarations, Dockerfiles, Debian packages, layers. Nothing
//! panics, and no layer leaves its directory. The first byte names the kind.
#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use drydock_archive::read::Limits;
use drydock_config::images::Images;
use drydock_deb::binary::BinaryPackage;
use drydock_oci::dockerfile::Dockerfile;
use drydock_oci::layout::Layout;
use drydock_oci::model::{ParsedManifest, media};
use drydock_oci::unpack::unpack;

const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 1000 };

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        b'm' => drop(ParsedManifest::read(media::MANIFEST, bytes)),
        b'i' => drop(ParsedManifest::read(media::INDEX, bytes)),
        b'y' => {
            if let Err(problems) = Images::parse(&String::from_utf8_lossy(bytes), Path::new("images.yaml")) {
                assert!(!problems.to_string().is_empty());
            }
        }
        b'f' => match Dockerfile::parse(&String::from_utf8_lossy(bytes)) {
            Ok(file) => drop(file.with_names(|pinned| format!("local/{}", pinned.digest.hex()))),
            Err(problems) => assert!(!problems.is_empty()),
        },
        b'd' => {
            let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
            let file = directory.path().join("p.deb");
            fs::write(&file, bytes).expect("a file");
            if let Ok(package) = BinaryPackage::open(&file) {
                drop(package.visit(LIMITS, &mut |_, _| Ok(())));
            }
        }
        b'l' => {
            let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
            let layout = Layout::create(&directory.path().join("layout")).expect("a layout");
            let layer = layout.put(media::LAYER, bytes).expect("a blob");
            let root = directory.path().join("root");
            fs::create_dir(&root).expect("a directory");
            drop(unpack(&layout, &[layer], &root, None));
            let beside = fs::read_dir(directory.path()).expect("a directory").count();
            assert_eq!(beside, 2, "something stands outside of the root");
        }
        _ => {}
    }
});
