//! Uploading: to a declared place and no other, by dput, with a record of what was delivered and answered.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_config::release::deb::{Method, Place};

/// The name of the target in dput's settings.
const TARGET: &str = "drydock";

/// Where packages go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What a person calls it.
    pub shown: String,
    /// dput's settings.
    settings: String,
    /// The file with the queue's answers.
    pub log: Option<PathBuf>,
}

/// Hosts of distributions, where nothing is uploaded by accident.
const DISTRIBUTIONS: [&str; 5] = ["ubuntu.com", "launchpad.net", "debian.org", "canonical.com", "ubuntu.org"];

impl Route {
    /// The route to a place; `state` replaces `{state}`.
    ///
    /// # Errors
    /// The place is a distribution's own archive.
    pub fn to(place: &Place, state: &Path) -> anyhow::Result<Route> {
        let with_state = |text: &str| text.replace("{state}", &state.display().to_string());
        let (shown, host, incoming, method, log) = match place {
            Place::Ppa { owner, archive, method } => {
                let host = "ppa.launchpad.net".to_owned();
                (format!("ppa:{owner}/{archive}"), Some(host), format!("~{owner}/ubuntu/{archive}"), *method, None)
            }
            Place::Queue { method, host, incoming, log } => {
                let name = host.as_deref().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
                let own = |domain: &&&str| name == **domain || name.ends_with(&format!(".{domain}"));
                if let Some(domain) = DISTRIBUTIONS.iter().find(own) {
                    let text = format!("{name} belongs to {domain}: an upload there is one to the distribution itself");
                    return Err(Failure::declaration(format!("{text}; declare `target: ppa` for a PPA")));
                }
                let log = log.as_ref().map(|log| PathBuf::from(with_state(&log.display().to_string())));
                let incoming = with_state(incoming);
                let shown = format!("{} {}", host.as_deref().unwrap_or("this machine"), incoming);
                (shown, host.clone(), incoming, *method, log)
            }
        };
        if [host.as_deref().unwrap_or_default(), &incoming].iter().any(|text| text.contains(['\n', '\r', '%'])) {
            return Err(Failure::declaration(format!("{shown:?} cannot be the place of an upload")));
        }
        let mut settings = format!("[{TARGET}]\nmethod = {}\nincoming = {incoming}\n", method.word());
        settings.push_str(&format!("fqdn = {}\n", host.as_deref().unwrap_or("localhost")));
        if method == Method::Ftp {
            settings.push_str("login = anonymous\n");
        }
        settings.push_str("allow_unsigned_uploads = 0\nrun_dinstall = 0\n");
        Ok(Route { shown, settings, log })
    }

    /// Delivers an upload.
    ///
    /// # Errors
    /// dput is missing, or refuses it.
    pub fn deliver(&self, changes: &Path) -> anyhow::Result<()> {
        let mut settings = tempfile::Builder::new().prefix("drydock-dput-").tempfile().context("cannot make a file")?;
        settings.write_all(self.settings.as_bytes()).context("cannot write a temporary file")?;
        let show = |path: &Path| path.display().to_string();
        // The record is ours; dput's own would keep a second upload back.
        let argv = ["dput", "--no-upload-log", "--force", "--config", &show(settings.path()), TARGET, &show(changes)];
        let argv = argv.map(str::to_owned);
        let passed = ["GNUPGHOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "https_proxy"].map(str::to_owned);
        let environment = exec::environment(&passed, &BTreeMap::new());
        exec::bytes(&argv, Path::new("/"), environment).map_err(|why| {
            let why = why.shown_as(["dput"]);
            Failure::remote(format!("{} cannot be delivered to {}: {why}", show(changes), self.shown))
        })?;
        Ok(())
    }

    /// What the queue's log says about an upload: taken, refused with its reason, or nothing yet.
    pub fn answer(&self, changes: &str) -> Option<Answer> {
        let text = fs::read_to_string(self.log.as_ref()?).ok()?;
        answer_in(&text, changes)
    }
}

/// The last line that names the upload and says what became of it.
fn answer_in(text: &str, changes: &str) -> Option<Answer> {
    let lines = text.lines().rev().filter(|line| line.split_whitespace().any(|word| word == changes));
    let mut answers = lines.filter_map(|line| {
        let lower = line.to_lowercase();
        if lower.contains("reject") || lower.contains("refuse") {
            return Some(Answer::Refused(line.trim().to_owned()));
        }
        lower.contains("accept").then_some(Answer::Accepted)
    });
    answers.next()
}

/// What an archive says about an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It took it.
    Accepted,
    /// It did not, and says why.
    Refused(String),
}

/// What became of an upload, in the order in which it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "text")]
pub enum Step {
    /// It is about to be delivered.
    Delivering,
    /// All its files are there.
    Delivered,
    /// The archive took it.
    Accepted,
    /// The archive did not, and says why.
    Refused(String),
}

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When, in seconds since 1970.
    pub time: u64,
    /// The place, as a person calls it.
    pub place: String,
    /// The series.
    pub series: String,
    /// The source package.
    pub source: String,
    /// Its version.
    pub version: String,
    /// The files of `.dsc` and their SHA-256 sums: what the archive has from then on.
    pub files: BTreeMap<String, String>,
    /// What happened.
    #[serde(flatten)]
    pub step: Step,
}

/// The record of all uploads of a project.
#[derive(Debug, Clone)]
pub struct Record {
    path: PathBuf,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl Record {
    /// Reads the record; a line that a killed process left unfinished is left out.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Record> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Record { path: path.to_owned(), lines })
    }

    /// Adds a line, on disk before anything follows.
    ///
    /// # Errors
    /// The disk is full, or the directory cannot be written to.
    pub fn add(&mut self, line: Line) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.path).with_context(cannot)?;
        writeln!(file, "{}", serde_json::to_string(&line)?).with_context(cannot)?;
        file.sync_data().with_context(cannot)?;
        self.lines.push(line);
        Ok(())
    }

    /// The last step of an upload.
    pub fn last(&self, place: &str, series: &str, version: &str) -> Option<&Step> {
        let is_it = |line: &&Line| line.place == place && line.series == series && line.version == version;
        self.lines.iter().rev().find(is_it).map(|line| &line.step)
    }

    /// The sum under which a place has a file, when an upload with it was accepted.
    pub fn accepted(&self, place: &str, file: &str) -> Option<&str> {
        let mut taken = self.lines.iter().filter(|line| line.place == place && line.step == Step::Accepted);
        taken.find_map(|line| line.files.get(file)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(host: Option<&str>) -> Place {
        let method = if host.is_some() { Method::Ftp } else { Method::Local };
        Place::Queue { method, host: host.map(str::to_owned), incoming: "{state}/in".into(), log: None }
    }

    #[test]
    fn a_distribution_is_never_uploaded_to_by_accident() {
        let ppa = Place::Ppa { owner: "me".into(), archive: "x".into(), method: Method::Sftp };
        let route = Route::to(&ppa, Path::new("/s")).unwrap();
        assert!(
            route.settings.contains("incoming = ~me/ubuntu/x\n") && route.settings.contains("fqdn = ppa.launchpad.net")
        );
        for host in
            ["upload.ubuntu.com", "ppa.launchpad.net", "UPLOAD.ubuntu.com.", "ftp-master.debian.org", "ubuntu.com"]
        {
            let error = Route::to(&queue(Some(host)), Path::new("/s")).unwrap_err().to_string();
            assert!(error.contains("the distribution itself"), "{error}");
        }
        assert!(Route::to(&queue(Some("notubuntu.com")), Path::new("/s")).is_ok());
        assert!(Route::to(&queue(Some("x\nfqdn = upload.ubuntu.com")), Path::new("/s")).is_err());
        assert_eq!(Route::to(&queue(None), Path::new("/s")).unwrap().shown, "this machine /s/in");
    }

    #[test]
    fn a_queue_answers_by_a_line() {
        let log = "1 x_1_source.changes rejected: no signature\n2 x_1_source.changes accepted\n3 y_1_source.changes refused: bad\n";
        assert_eq!(answer_in(log, "x_1_source.changes"), Some(Answer::Accepted));
        assert_eq!(
            answer_in(log, "y_1_source.changes"),
            Some(Answer::Refused("3 y_1_source.changes refused: bad".into()))
        );
        assert_eq!(answer_in(log, "z"), None);
    }

    #[test]
    fn the_record_survives_a_killed_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("uploads.jsonl");
        let mut record = Record::read(&path).unwrap();
        let line = |step: Step| Line {
            time: 1,
            place: "p".into(),
            series: "noble".into(),
            source: "x".into(),
            version: "1".into(),
            files: BTreeMap::from([("x.orig".into(), "ab".into())]),
            step,
        };
        record.add(line(Step::Delivering)).unwrap();
        record.add(line(Step::Refused("why".into()))).unwrap();
        assert_eq!(record.accepted("p", "x.orig"), None);
        record.add(line(Step::Accepted)).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"time\":").unwrap();
        let read = Record::read(&path).unwrap();
        assert_eq!(read.lines, record.lines);
        assert_eq!(read.last("p", "noble", "1"), Some(&Step::Accepted));
        assert_eq!((read.accepted("p", "x.orig"), read.accepted("q", "x.orig")), (Some("ab"), None));
    }
}
