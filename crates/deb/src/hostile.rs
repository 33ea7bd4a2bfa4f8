//! Hostile input: it is parsed or rejected, and nothing panics.

use proptest::prelude::*;

use super::control::{self, Paragraph};
use super::launchpad::{ArchiveState, CheckContext, Upload, check};
use super::relation::{parse_binary, parse_source};
use drydock_archive::source::vendor::Lock;
use drydock_config::debversion::DebVersion;
use drydock_config::release::deb::Distribution;

/// Texts made of what these formats are made of.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("Files:".to_owned()),
        Just("Version: 1.0-1".to_owned()),
        Just("\n ".to_owned()),
        Just("\n".to_owned()),
        Just("-----BEGIN PGP SIGNED MESSAGE-----\n".to_owned()),
        Just("\n-----BEGIN PGP SIGNATURE-----\n".to_owned()),
        Just("[[package]]\nname = \"é\"\n".to_owned()),
        "[ -~é:.+()\\[\\]<>|,]{0,12}",
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in text()) {
        if let Ok(paragraphs) = control::parse(&text) {
            // Written paragraphs are parsed as the same.
            let written: String = paragraphs.iter().map(|one| one.text() + "\n").collect();
            let names = |all: &[Paragraph]| all.iter().flat_map(Paragraph::names).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(names(&control::parse(&written).unwrap()), names(&paragraphs));
        }
        // Whether these succeed depends on the text.
        parse_source(&text).ok(); parse_binary(&text).ok(); Lock::parse(&text).ok(); text.parse::<DebVersion>().ok();
    }

    #[test]
    fn no_upload_panics(fields in proptest::collection::vec(("[A-Z][a-z-]{2,12}", text()), 0..6), lines in text()) {
        let mut upload = Upload { dsc_name: "x.dsc".into(), changes_name: "x.changes".into(), ..Upload::default() };
        for (name, value) in fields {
            upload.changes.set(&name, value.as_str());
            upload.dsc.set(&name, value);
        }
        for name in ["Files", "Checksums-Sha1", "Version", "Distribution", "Build-Depends", "Format"] {
            upload.changes.set(name, lines.as_str());
            upload.dsc.set(name, lines.as_str());
        }
        let context = CheckContext {
            distribution: Distribution::Ubuntu,
            today: "2026-06-01".into(),
            allow_unsigned: true,
            archive: Some(ArchiveState::default()),
        };
        prop_assert!(!check(&upload, &context).is_empty(), "an upload without a .dsc must be rejected");
    }

    #[test]
    fn versions_have_one_order(versions in proptest::collection::vec("[0-9][0-9a-c.~+]{0,5}(-[0-9a-c~.]{1,3})?", 3)) {
        let mut all: Vec<DebVersion> = versions.iter().map(|text| text.parse().unwrap()).collect();
        all.sort();
        prop_assert!(all[0] <= all[1] && all[1] <= all[2] && all[0] <= all[2]);
        prop_assert_eq!(all[0].cmp(&all[2]), all[2].cmp(&all[0]).reverse());
    }
}
