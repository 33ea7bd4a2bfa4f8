//! Packages of Python on an index: uploaded by twine, one file at a time, and downloaded back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::publication::LocalRelease;
use super::web::{self, Wanted};
use drydock_base::checksum::{Checksum, HashingStream};
use drydock_base::exec::{self, Bounds, Contained};
use drydock_base::failure::Failure;
use drydock_base::units::ByteSize;
use drydock_config::debversion::may_be_candidate;
use drydock_config::release::{PypiTarget as Declared, PythonIndex};
use drydock_http::{Method, Url};
use drydock_release::manifest::{Artifact, ArtifactKind};
use drydock_release::publish::{Conflict, Held, ObservedStep, Stage, Target};
use drydock_release::python::index::{self, ACCEPT, IndexedFile};
use drydock_release::python::project_of;

/// The largest page of an index, in bytes.
const LARGEST_PAGE: u64 = 64 << 20;
/// The time that an upload may take.
const LONGEST_UPLOAD: Duration = Duration::from_secs(1800);
/// The waits for an index that does not list a file at once after it accepted it: caches are in front of it.
const WAITS: [u64; 8] = [0, 1, 2, 5, 10, 20, 40, 60];
/// The step that does nothing.
const NOTHING_ELSE: &str = "have nothing else";

/// The packages of Python of a release on the index for its version.
pub(super) struct PypiTarget {
    name: String,
    index: PythonIndex,
    login: String,
    token: Option<String>,
    /// The files of the release.
    files: Vec<Artifact>,
    /// The directory with them.
    from: PathBuf,
}

impl PypiTarget {
    pub(super) fn new(name: String, declared: &Declared, local: &LocalRelease) -> PypiTarget {
        let is_candidate = may_be_candidate(&local.release.version);
        let index = if is_candidate { &declared.candidates } else { &declared.index };
        let token = std::env::var(index.variable).ok().map(|token| token.trim().to_owned());
        let is_python = |artifact: &&Artifact| artifact.kind == Some(ArtifactKind::Python);
        PypiTarget {
            name,
            index: index.clone(),
            login: declared.login.clone(),
            token: token.filter(|token| !token.is_empty()),
            files: local.manifest.artifacts.iter().filter(is_python).cloned().collect(),
            from: local.directory.clone(),
        }
    }

    /// The page of a project; none if the index does not have the project.
    fn page(&self, project: &str) -> anyhow::Result<Option<(Url, Vec<IndexedFile>)>> {
        let address = format!("{}{project}/", self.index.simple);
        let url = Url::parse(&address).with_context(|| Failure::Usage(format!("{address} is not a valid URL")))?;
        let wanted = Wanted { accept: ACCEPT, ..Wanted::default() };
        let mut response = web::get(&url, &wanted).context(
            "the page of the project was not read; an index that falls back to another one has to be told not to, such as \
             pypiserver with --disable-fallback",
        )?;
        let remedy = "is `simple` in packaging/release.yaml the URL of the index's simple API?";
        if response.status == 404 {
            // A wrong address is not an index without the project.
            let root = Url::parse(&self.index.simple).context("the URL of the index was just used")?;
            let asked = web::get(&root, &Wanted { method: Method::HEAD, ..wanted })?;
            return if asked.is_success() { Ok(None) } else { Err(asked.refusal(remedy).into()) };
        }
        if !response.is_success() {
            return Err(response.refusal(remedy).into());
        }
        let base = response.url().clone();
        let kind = response.header("content-type").unwrap_or_default().to_owned();
        let content = response.bytes(LARGEST_PAGE)?;
        let files =
            index::files(&kind, &content).map_err(|error| Failure::remote(format!("{url}: {error}; {remedy}")))?;
        Ok(Some((base, files)))
    }

    /// What the index holds of a file.
    fn held(&self, file: &Artifact, page: Option<&(Url, Vec<IndexedFile>)>) -> anyhow::Result<Held> {
        let Some((base, files)) = page else { return Ok(Held::Absent) };
        let Some(found) = files.iter().find(|found| found.name == file.name) else { return Ok(Held::Absent) };
        let url = base.join(&found.url).ok_or_else(|| {
            Failure::remote(format!("the index has an invalid URL for {}: {:?}", file.name, found.url))
        })?;
        let mut response = web::get(&url, &Wanted { may_leave_origin: true, ..Wanted::default() })?;
        if !response.is_success() {
            return Err(response.refusal("the index lists the file; can pip download it?").into());
        }
        let mut hashed = HashingStream::new(std::io::sink());
        std::io::copy(&mut response.stream(), &mut hashed)
            .map_err(|error| Failure::remote(format!("{url}: the response was cut: {error}")))?;
        let (sha256, size): (Checksum, u64) = hashed.finish();
        Ok(if (sha256, size) != (file.sha256, file.size) {
            Held::Other(Conflict {
                found: format!("{} there has the SHA-256 {sha256} ({size} bytes), not {}", file.name, file.sha256),
                remedy: "an index never takes another file of this name: find out who uploaded it, and release a new version"
                    .into(),
            })
        } else if let Some(why) = &found.yanked {
            let why = if why.is_empty() { "no reason is given".to_owned() } else { why.clone() };
            Held::Other(Conflict {
                found: format!("{} was yanked there: {}", file.name, drydock_base::text::one_line(&why, 200)),
                remedy: "undo that in the settings of the project, or release a new version".into(),
            })
        } else {
            Held::Same(format!("{sha256}, downloaded back"))
        })
    }

    fn files(&self) -> anyhow::Result<Vec<ObservedStep>> {
        let mut pages = BTreeMap::new();
        let mut steps = Vec::new();
        let step = |step: String, held: Held| ObservedStep { step, stage: Stage::Files, held, is_final: true };
        for file in &self.files {
            let (project, _) = project_of(&file.name).context("a package of Python has another name")?;
            if !pages.contains_key(&project) {
                pages.insert(project.clone(), self.page(&project)?);
            }
            let page = pages.get(&project).and_then(Option::as_ref);
            steps.push(step(upload(&file.name), self.held(file, page)?));
        }
        // A file of this version that is not of the release: somebody else with a password was here.
        let ours: BTreeSet<_> = self.files.iter().filter_map(|file| project_of(&file.name)).collect();
        let listed = pages.values().flatten().flat_map(|(_, files)| files);
        let is_extra = |file: &&IndexedFile| {
            let is_ours = self.files.iter().any(|ours| ours.name == file.name);
            !is_ours && project_of(&file.name).is_some_and(|found| ours.contains(&found))
        };
        let extra: Vec<&str> = listed.filter(is_extra).map(|file| file.name.as_str()).collect();
        if !extra.is_empty() {
            let found = format!("{} is there, which no release.json lists", extra.join(", "));
            let remedy = "find out who uploaded it, and delete it there".to_owned();
            steps.insert(0, step(NOTHING_ELSE.to_owned(), Held::Other(Conflict { found, remedy })));
        }
        Ok(steps)
    }

    /// Runs twine. The password is in its environment, and in nothing else.
    fn twine(&self, file: &Artifact) -> anyhow::Result<()> {
        let token = self.token.as_deref().unwrap_or_default();
        let options = ["upload", "--non-interactive", "--disable-progress-bar", "--config-file", "/dev/null"];
        let argv: Vec<String> = ["twine"]
            .iter()
            .chain(&options)
            .chain(&["--repository-url", self.index.upload.as_str(), file.name.as_str()])
            .map(|word| (*word).to_owned())
            .collect();
        let passed = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];
        let set = [("TWINE_USERNAME", self.login.as_str()), ("TWINE_PASSWORD", token)];
        let mut environment: BTreeMap<OsString, OsString> = exec::environment(
            &passed.map(str::to_owned),
            &BTreeMap::from(set.map(|(a, b)| (a.to_owned(), b.to_owned()))),
        );
        // No keyring is asked: it might wait for somebody to unlock it.
        environment.insert("PYTHON_KEYRING_BACKEND".into(), "keyring.backends.null.Keyring".into());
        let bounds = Bounds { output: ByteSize::mib(4), time: LONGEST_UPLOAD };
        let merged = Contained { bounds, merged: true, ..Contained::new(&argv, &self.from, environment) };
        let output = merged.run()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // A server could repeat what it was sent.
        let said = if token.is_empty() { said } else { said.replace(token, "…") };
        let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        // What comes before is a traceback.
        let from = lines.iter().rposition(|line| line.contains("Error:")).unwrap_or(lines.len().saturating_sub(4));
        let last = lines[from..].join(" ");
        let remedy = format!("is the password in {} right, and may it upload this project?", self.index.variable);
        let last = drydock_base::text::one_line(&last, 600);
        Err(Failure::remote(format!("twine did not upload {}: {last}; {remedy}", file.name)))
    }
}

fn upload(name: &str) -> String {
    format!("upload {name}")
}

impl Target for PypiTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if !exec::is_installed("twine") {
            missing.push("`twine` is not installed; install it with `pipx install twine`".to_owned());
        }
        if self.token.is_none() {
            missing.push(format!("set {} to the password or token for {}", self.index.variable, self.index.upload));
        }
        missing
    }

    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
        if stage == Stage::Files { self.files() } else { Ok(Vec::new()) }
    }

    fn act(&mut self, step: &str) -> anyhow::Result<String> {
        let file = self.files.iter().find(|file| upload(&file.name) == step).context("unknown step")?;
        self.twine(file)?;
        let (project, _) = project_of(&file.name).context("a package of Python has another name")?;
        for wait in WAITS {
            std::thread::sleep(Duration::from_secs(wait));
            let page = self.page(&project)?;
            if page.is_some_and(|(_, files)| files.iter().any(|found| found.name == file.name)) {
                return Ok(format!("{} at {}", file.sha256, self.index.upload));
            }
        }
        Err(Failure::remote(format!(
            "the index accepted {}, but does not list it yet; run the same command again later",
            file.name
        )))
    }
}
