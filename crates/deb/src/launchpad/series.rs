//! Rules about the series that an upload is for.

use super::{Facts, Upload};
use crate::series;

const POCKETS: [&str; 5] = ["release", "updates", "security", "proposed", "backports"];

/// The series and the pocket that `Distribution` names.
fn target(upload: &Upload) -> Option<(String, Option<String>)> {
    let whole = upload.changes.line("Distribution")?;
    Some(match whole.rsplit_once('-') {
        Some((series, pocket)) if POCKETS.contains(&pocket) => (series.to_owned(), Some(pocket.to_owned())),
        Some(_) | None => (whole, None),
    })
}

pub(super) fn known(upload: &Upload, facts: &Facts) -> Vec<String> {
    let Some((name, pocket)) = target(upload) else { return Vec::new() };
    let in_remote = facts.remote.as_ref().and_then(|remote| remote.series.get(&name)).is_some();
    if in_remote || series::all().iter().any(|one| one.name == name && one.distribution == facts.distribution) {
        return Vec::new();
    }
    let suite = pocket.map_or_else(|| name.clone(), |pocket| format!("{name}-{pocket}"));
    vec![format!("Unable to find distroseries: {suite}")]
}

pub(super) fn pocket(upload: &Upload, _: &Facts) -> Vec<String> {
    match target(upload) {
        Some((_, Some(pocket))) if pocket != "release" => {
            vec!["PPA uploads must be for the RELEASE pocket.".to_owned()]
        }
        Some(_) | None => Vec::new(),
    }
}

pub(super) fn obsolete(upload: &Upload, facts: &Facts) -> Vec<String> {
    let Some((name, _)) = target(upload) else { return Vec::new() };
    // What the archive says counts more than what was known when this was written.
    let ended = match facts.remote.as_ref().and_then(|remote| remote.series.get(&name)) {
        Some(status) => status.eq_ignore_ascii_case("obsolete"),
        None => {
            let all = series::all();
            let one = all.iter().find(|one| one.name == name && one.distribution == facts.distribution);
            one.is_some_and(|one| one.ends < facts.today)
        }
    };
    if !ended {
        return Vec::new();
    }
    vec!["Not permitted to upload to the RELEASE pocket in a series in the 'OBSOLETE' state.".to_owned()]
}
