//! The series of Debian and Ubuntu: numbers, dates and compilers.
//!
//! Dates are those of Debian's `distro-info-data`. Where that package is installed, its lists extend the built-in table.

use std::path::Path;

use jiff::civil::Date;

use drydock_config::decode::FromText as _;
use drydock_config::release::deb::{Distribution, Number};

/// A series of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesInfo {
    /// The code name.
    pub name: String,
    /// The distribution.
    pub distribution: Distribution,
    /// The release number, such as `24.04`.
    pub number: String,
    /// The date of its release, `2024-04-25`.
    pub released: String,
    /// The last day of its longest support, `2036-04-29`.
    pub ends: String,
    /// The version of its default Rust compiler, where it is known.
    pub rustc: Option<&'static str>,
}

type Row = (&'static str, Distribution, &'static str, &'static str, &'static str, Option<&'static str>);

use Distribution::{Debian, Ubuntu};

const ROWS: [Row; 30] = [
    ("buster", Debian, "10", "2019-07-06", "2029-06-30", Some("1.41")),
    ("bullseye", Debian, "11", "2021-08-14", "2031-06-30", Some("1.48")),
    ("bookworm", Debian, "12", "2023-06-10", "2033-06-30", Some("1.63")),
    ("trixie", Debian, "13", "2025-08-09", "2035-06-30", Some("1.85")),
    ("precise", Ubuntu, "12.04", "2012-04-26", "2019-04-26", None),
    ("trusty", Ubuntu, "14.04", "2014-04-17", "2026-04-28", None),
    ("vivid", Ubuntu, "15.04", "2015-04-23", "2016-02-04", None),
    ("wily", Ubuntu, "15.10", "2015-10-22", "2016-07-28", None),
    ("xenial", Ubuntu, "16.04", "2016-04-21", "2028-04-25", None),
    ("yakkety", Ubuntu, "16.10", "2016-10-13", "2017-07-20", None),
    ("zesty", Ubuntu, "17.04", "2017-04-13", "2018-01-13", None),
    ("artful", Ubuntu, "17.10", "2017-10-19", "2018-07-19", None),
    ("bionic", Ubuntu, "18.04", "2018-04-26", "2030-04-30", None),
    ("cosmic", Ubuntu, "18.10", "2018-10-18", "2019-07-18", None),
    ("disco", Ubuntu, "19.04", "2019-04-18", "2020-01-23", None),
    ("eoan", Ubuntu, "19.10", "2019-10-17", "2020-07-17", None),
    ("focal", Ubuntu, "20.04", "2020-04-23", "2032-04-27", Some("1.75")),
    ("groovy", Ubuntu, "20.10", "2020-10-22", "2021-07-22", None),
    ("hirsute", Ubuntu, "21.04", "2021-04-22", "2022-01-20", None),
    ("impish", Ubuntu, "21.10", "2021-10-14", "2022-07-14", None),
    ("jammy", Ubuntu, "22.04", "2022-04-21", "2034-04-25", Some("1.75")),
    ("kinetic", Ubuntu, "22.10", "2022-10-20", "2023-07-20", None),
    ("lunar", Ubuntu, "23.04", "2023-04-20", "2024-01-25", None),
    ("mantic", Ubuntu, "23.10", "2023-10-12", "2024-07-11", None),
    ("noble", Ubuntu, "24.04", "2024-04-25", "2036-04-29", Some("1.75")),
    ("oracular", Ubuntu, "24.10", "2024-10-10", "2025-07-10", None),
    ("plucky", Ubuntu, "25.04", "2025-04-17", "2026-01-15", None),
    ("questing", Ubuntu, "25.10", "2025-10-09", "2026-07-09", None),
    ("resolute", Ubuntu, "26.04", "2026-04-23", "2038-04-27", None),
    ("stonking", Ubuntu, "26.10", "2026-10-15", "2027-07-15", None),
];

/// All known series, the oldest of each distribution first.
pub fn all() -> Vec<SeriesInfo> {
    let own = ROWS.iter().map(|(name, distribution, number, released, ends, rustc)| SeriesInfo {
        name: (*name).to_owned(),
        distribution: *distribution,
        number: (*number).to_owned(),
        released: (*released).to_owned(),
        ends: (*ends).to_owned(),
        rustc: *rustc,
    });
    let mut all: Vec<SeriesInfo> = own.collect();
    for (distribution, file) in [(Debian, "debian.csv"), (Ubuntu, "ubuntu.csv")] {
        let text = std::fs::read_to_string(Path::new("/usr/share/distro-info").join(file)).unwrap_or_default();
        for known in parse_list(distribution, &text) {
            if all.iter().all(|one| one.name != known.name) {
                all.push(known);
            }
        }
    }
    all
}

/// Parses the released series of a list of distro-info: `version,codename,series,created,release,eol…`.
fn parse_list(distribution: Distribution, text: &str) -> impl Iterator<Item = SeriesInfo> + '_ {
    text.lines().skip(1).filter_map(move |line| {
        let fields: Vec<&str> = line.split(',').collect();
        let (number, name, released) = (*fields.first()?, *fields.get(2)?, *fields.get(4)?);
        let ends = fields.get(5..)?.iter().max()?;
        Some(SeriesInfo {
            name: name.to_owned(),
            distribution,
            number: number.trim_end_matches(" LTS").to_owned(),
            released: released.to_owned(),
            ends: (*ends).to_owned(),
            rustc: None,
        })
    })
}

/// The version of a series' default Rust compiler, where it is known.
pub fn rustc(name: &str) -> Option<Number> {
    let row = ROWS.iter().find(|row| row.0 == name)?;
    Number::from_text(row.5?).ok()
}

/// The Debian series whose release is nearest in time to that of another series; the older one of two at the same distance.
pub fn nearest_debian(name: &str) -> Option<String> {
    let all = all();
    let released: Date = all.iter().find(|one| one.name == name)?.released.parse().ok()?;
    // The mirrors do not have older series any more.
    let on_mirrors =
        |one: &&SeriesInfo| one.distribution == Debian && ["bookworm", "trixie"].contains(&one.name.as_str());
    let distance = |one: &&SeriesInfo| {
        let date = one.released.parse::<Date>().ok()?;
        Some((date - released).get_days().abs())
    };
    all.iter().filter(on_mirrors).min_by_key(distance).map(|one| one.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_series_is_found_by_release_dates() {
        for (name, nearest) in
            [("jammy", "bookworm"), ("noble", "bookworm"), ("resolute", "trixie"), ("trixie", "trixie")]
        {
            assert_eq!(nearest_debian(name).as_deref(), Some(nearest), "{name}");
        }
        assert_eq!(nearest_debian("nowhere"), None);
    }

    #[test]
    fn a_list_of_distro_info_is_parsed() {
        let text = "version,codename,series,created,release,eol\n99.04 LTS,X Y,xylo,2098-01-01,2099-04-01,2101-01-01,2109-01-01\n14,Forky,forky,2025-08-09\n";
        let known: Vec<SeriesInfo> = parse_list(Ubuntu, text).collect();
        assert_eq!(known.len(), 1);
        assert_eq!((known[0].number.as_str(), known[0].ends.as_str()), ("99.04", "2109-01-01"));
    }
}
