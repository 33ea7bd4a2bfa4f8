//! The client: requests with the token, waits that GitHub asks for, lists in pages, and files behind links.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use drydock_base::checksum::HashingStream;
use drydock_base::text::one_line;
use drydock_http::{Client, Content, Method, NetworkEnv, Request, Response, Retry, RetryPolicy, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::limits::{Asked, RefusalBody};
use crate::model::{Artifact, Job, WorkflowRun};
use crate::pages;
use crate::reference::Repository;
use crate::token::Token;

mod checks;
mod pulls;
mod releases;

pub use pulls::{Label, PullRequest, User};
pub use releases::{Asset, NewRelease, Release};

/// The address of github.com's API.
const PUBLIC: &str = "https://api.github.com";
/// The largest page of a list, in bytes.
const LARGEST_PAGE: u64 = 32 << 20;
/// The most pages of a list.
const MOST_PAGES: usize = 200;
/// The most redirects that one request follows.
const MOST_REDIRECTS: usize = 5;
/// The tries with a fresh link to a file, since a link is valid for a minute only.
const LINKS: u32 = 3;

/// What the environment says about GitHub.
pub struct Settings {
    /// The address of the API.
    pub api: Url,
    /// The token, if there is one.
    pub token: Option<Token>,
    /// Certificates and proxy.
    pub network: NetworkEnv,
    /// The longest wait that GitHub may ask for.
    pub longest_wait: Duration,
    /// Tries and waits.
    pub policy: RetryPolicy,
}

impl Settings {
    /// The settings of an environment: `GITHUB_API_URL`, `GH_TOKEN` or `GITHUB_TOKEN`, and those of the network.
    ///
    /// # Errors
    /// `GITHUB_API_URL` is not an address, or would send the token without encryption.
    pub fn new(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Settings, Error> {
        let named = variable("GITHUB_API_URL").and_then(|value| value.into_string().ok());
        let named = named.filter(|value| !value.is_empty()).unwrap_or_else(|| PUBLIC.to_owned());
        let api = Url::parse(named.trim_end_matches('/'))
            .ok_or_else(|| Error::Setup("GITHUB_API_URL must be an address, such as https://api.github.com".into()))?;
        if !api.is_secure() && !api.is_loopback() {
            return Err(Error::Setup(format!("GITHUB_API_URL must begin with https, since a token is sent to {api}")));
        }
        Ok(Settings {
            api,
            token: Token::new(variable),
            network: NetworkEnv::new(variable),
            longest_wait: Duration::from_secs(3700),
            policy: RetryPolicy::default(),
        })
    }
}

/// A client of GitHub's API for one repository.
pub struct Api {
    settings: Settings,
    client: Client,
    repository: Repository,
    notice: Box<dyn Fn(&str) + Send + Sync>,
}

/// What a request sends and accepts.
struct Payload<'a> {
    accept: &'static str,
    /// The media type and the content.
    body: Option<(&'static str, Content<'a>)>,
}

impl Default for Payload<'_> {
    fn default() -> Self {
        Payload { accept: "application/vnd.github+json", body: None }
    }
}

/// A refusal.
pub(crate) struct Refusal {
    pub(crate) status: u16,
    message: String,
    request: String,
}

impl Refusal {
    /// The error, with a remedy.
    pub(crate) fn error(self, remedy: &'static str) -> Error {
        let remedy = match self.status {
            401 => "GitHub does not accept the token in GH_TOKEN or GITHUB_TOKEN; has it expired?",
            _ if !remedy.is_empty() => remedy,
            403 => "may the token do this? Reruns need the permission `actions: write`",
            404 => "is the name of the repository right, and may the token in GH_TOKEN or GITHUB_TOKEN read it?",
            _ => "",
        };
        Error::Refused { request: self.request, status: self.status, message: self.message, remedy }
    }
}

impl Api {
    /// A client. `notice` gets a line about each long wait.
    ///
    /// # Errors
    /// The certificates or the proxy cannot be used.
    pub fn new(
        settings: Settings,
        repository: Repository,
        notice: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Api, Error> {
        let (roots, proxy) = (settings.network.roots()?, settings.network.proxy_for(settings.api.authority())?);
        let client = Client::new(settings.policy.clone(), &roots, proxy.as_ref())?;
        Ok(Api { settings, client, repository, notice: Box::new(notice) })
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Waits by the clock of the client.
    pub(crate) fn sleep(&self, wait: Duration) {
        self.settings.policy.clock.sleep(wait);
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.settings.policy.clock.now()
    }

    pub(crate) fn notify(&self, line: &str) {
        (self.notice)(line);
    }

    /// The newest attempt of a run.
    ///
    /// # Errors
    /// [`Error`].
    pub fn run(&self, id: u64) -> Result<WorkflowRun, Error> {
        self.get(&format!("actions/runs/{id}"))
    }

    /// The jobs of the newest attempt of a run, each with its newest id.
    ///
    /// # Errors
    /// [`Error`].
    pub fn jobs(&self, run: u64) -> Result<Vec<Job>, Error> {
        self.list(&format!("actions/runs/{run}/jobs"), &[("filter", "latest")], "jobs")
    }

    /// What a run uploaded, in all attempts.
    ///
    /// # Errors
    /// [`Error`].
    pub fn artifacts(&self, run: u64) -> Result<Vec<Artifact>, Error> {
        self.list(&format!("actions/runs/{run}/artifacts"), &[], "artifacts")
    }

    /// Writes the zip file of an artifact.
    ///
    /// # Errors
    /// [`Error`]; the file is larger than `most`, or has another checksum than GitHub says.
    pub fn artifact(&self, artifact: &Artifact, into: &mut File, most: u64) -> Result<(), Error> {
        if artifact.expired {
            let name = one_line(&artifact.name, 100);
            return Err(Error::Usage(format!("GitHub has deleted the artifact {name}; run the workflow again")));
        }
        let path = format!("actions/artifacts/{}/zip", artifact.id);
        let digest = self.download(&path, into, most)?;
        match artifact.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:")) {
            Some(expected) if !expected.eq_ignore_ascii_case(&digest) => Err(Error::Protocol {
                request: format!("GET {path}"),
                problem: format!("the file's SHA-256 is {digest}, but GitHub says {}", one_line(expected, 80)),
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes the log of a job.
    ///
    /// # Errors
    /// [`Error`]; the log is larger than `most`.
    pub fn log(&self, job: u64, into: &mut File, most: u64) -> Result<(), Error> {
        self.download(&format!("actions/jobs/{job}/logs"), into, most).map(drop)
    }

    fn address(&self, path: &str) -> Result<Url, Error> {
        let whole = format!("{}/repos/{}/{path}", self.settings.api.whole().trim_end_matches('/'), self.repository);
        Url::parse(whole.trim_end_matches('/')).ok_or_else(|| Error::Setup(format!("cannot make an address of {path}")))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let (value, _) = self.json(&self.address(path)?)?;
        decoded(path, value)
    }

    /// A whole list. A list that is shorter than GitHub says is read once more, then it is an error.
    fn list<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)], key: &str) -> Result<Vec<T>, Error> {
        let first = self.address(path)?.with_query(&[query, &[("per_page", "100")]].concat());
        let mut again = true;
        loop {
            let (values, expected) = self.pages(&first, key)?;
            if values.len() as u64 >= expected {
                return values.into_iter().map(|value| decoded(path, value)).collect();
            }
            if !again {
                let problem = format!("the list has {} of {expected} entries", values.len());
                return Err(Error::Protocol { request: format!("GET {first}"), problem });
            }
            again = false;
        }
    }

    /// All entries of a list, each once, and the number that GitHub says there are.
    fn pages(&self, first: &Url, key: &str) -> Result<(Vec<Value>, u64), Error> {
        let wrong = |problem: &str| Error::Protocol { request: format!("GET {first}"), problem: problem.to_owned() };
        let (mut values, mut ids, mut seen) = (Vec::new(), HashSet::new(), HashSet::new());
        let (mut next, mut expected) = (Some(first.clone()), 0);
        while let Some(url) = next {
            if !seen.insert(url.whole()) || seen.len() > MOST_PAGES {
                return Err(wrong("the pages of the list do not end"));
            }
            let (mut page, link) = self.json(&url)?;
            expected = page["total_count"].as_u64().unwrap_or(0);
            let Value::Array(entries) = page[key].take() else { return Err(wrong("a page has no list")) };
            // A list that grows while it is read has entries on two pages.
            values.extend(entries.into_iter().filter(|entry| ids.insert(entry["id"].as_u64())));
            next = match link {
                None => None,
                Some(link) => match url.join(&link) {
                    Some(there) if there.same_origin(&self.settings.api) => Some(there),
                    Some(_) | None => return Err(wrong("the next page is on another host")),
                },
            };
        }
        Ok((values, expected))
    }

    /// A JSON document, and the address of the next page. One that is cut is asked for again.
    fn json(&self, url: &Url) -> Result<(Value, Option<String>), Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            let mut response = match self.send(&Method::GET, url)? {
                Ok(response) => response,
                Err(refusal) => return Err(refusal.error("")),
            };
            let link = pages::next(response.headers("link")).map(str::to_owned);
            let content = response.bytes(LARGEST_PAGE).map_err(Error::Http);
            let value = content.and_then(|bytes| {
                serde_json::from_slice(&bytes).map_err(|error| Error::Protocol {
                    request: format!("GET {url}"),
                    problem: format!("it is not JSON: {error}"),
                })
            });
            match value {
                Ok(value) => return Ok((value, link)),
                Err(error) if tried >= self.settings.policy.tries => return Err(error),
                Err(_) => self.sleep(self.settings.policy.wait(tried)),
            }
        }
    }

    /// Asks GitHub to do something. Requests that change something are a second apart, as its manual asks.
    pub(crate) fn post(&self, path: &str) -> Result<Result<(), Refusal>, Error> {
        self.sleep(Duration::from_secs(1));
        Ok(self.send(&Method::POST, &self.address(path)?)?.map(drop))
    }

    /// Sends a request with the token, follows redirects within the API, and waits where GitHub asks for it.
    fn send(&self, method: &Method, url: &Url) -> Result<Result<Response, Refusal>, Error> {
        let mut url = url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let response = match self.patiently(method, &url)? {
                Ok(response) => response,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if !(300..400).contains(&response.status) {
                return Ok(Ok(response));
            }
            // A repository that was renamed is elsewhere in the API.
            let there = response.header("location").and_then(|location| url.join(location));
            match there {
                Some(there) if there.same_origin(&self.settings.api) => url = there,
                Some(_) | None => {
                    let problem = format!("it redirects to another host ({})", response.status);
                    return Err(Error::Protocol { request: format!("{method} {url}"), problem });
                }
            }
        }
        Err(Error::Protocol { request: format!("{method} {url}"), problem: "it redirects too often".into() })
    }

    fn patiently(&self, method: &Method, url: &Url) -> Result<Result<Response, Refusal>, Error> {
        self.exchange(method, url, &Payload::default())
    }

    /// Sends a request with the token, and waits where GitHub asks for it.
    fn exchange(&self, method: &Method, url: &Url, payload: &Payload<'_>) -> Result<Result<Response, Refusal>, Error> {
        let policy = &self.settings.policy;
        let (mut tried, mut waited) = (0, Duration::ZERO);
        loop {
            tried += 1;
            let mut request = Request::new(method.clone(), url)
                .header("accept", payload.accept)
                .header("x-github-api-version", "2022-11-28")
                .retry(Retry::Never);
            if let Some(token) = &self.settings.token {
                request = request.header("authorization", token.header());
            }
            if let Some((kind, content)) = payload.body {
                request = request.header("content-type", kind).content(content);
            }
            let again = method.is_idempotent();
            let mut response = match self.client.send(&request) {
                Ok(response) => response,
                Err(drydock_http::Error::NoResponse { .. }) if again && tried < policy.tries => {
                    self.sleep(policy.wait(tried));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if response.status < 400 {
                return Ok(Ok(response));
            }
            let asked = Asked::new(&response, self.now());
            let body: RefusalBody =
                response.bytes(64 << 10).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            let request = format!("{method} {url}");
            match asked.wait(&body, tried, policy, again) {
                Some(wait) if waited + wait > self.settings.longest_wait => {
                    return Err(Error::Limited { request, wait });
                }
                Some(wait) if tried < policy.tries => {
                    if wait > Duration::from_secs(5) {
                        self.notify(&format!("GitHub asks to wait {} s ({})", wait.as_secs(), asked.status));
                    }
                    waited += wait;
                    self.sleep(wait);
                }
                Some(_) | None => {
                    let message = one_line(&body.message, 300);
                    return Ok(Err(Refusal { status: asked.status, message, request }));
                }
            }
        }
    }

    /// Writes a file that the API links to, and returns its SHA-256. The link is asked for again if it has expired, or if the
    /// file ends early.
    fn download(&self, path: &str, into: &mut File, most: u64) -> Result<String, Error> {
        self.download_as(path, Payload::default().accept, into, most)
    }

    fn download_as(&self, path: &str, accept: &'static str, into: &mut File, most: u64) -> Result<String, Error> {
        let address = self.address(path)?;
        let mut tried = 0;
        loop {
            tried += 1;
            let last = tried >= LINKS;
            match self.linked(&address, accept, into, most) {
                Err(error) if last || matches!(error, Error::Usage(_) | Error::Setup(_) | Error::Limited { .. }) => {
                    return Err(error);
                }
                Err(Error::Refused { status, .. }) if matches!(status, 401 | 404 | 410) && last => {}
                Err(_) => self.sleep(self.settings.policy.wait(tried)),
                Ok(digest) => return Ok(digest),
            }
        }
    }

    fn linked(&self, address: &Url, accept: &'static str, into: &mut File, most: u64) -> Result<String, Error> {
        let wrong = |problem: &str| Error::Protocol { request: format!("GET {address}"), problem: problem.to_owned() };
        let payload = Payload { accept, body: None };
        let first = self.exchange(&Method::GET, address, &payload)?.map_err(|refusal| refusal.error(""))?;
        let mut response = first;
        let mut url = address.clone();
        for _ in 0..=MOST_REDIRECTS {
            if !(300..400).contains(&response.status) {
                break;
            }
            let there = response.header("location").and_then(|location| url.join(location));
            let there = there.ok_or_else(|| wrong("it redirects to an invalid address"))?;
            let is_local = there.is_loopback() && self.settings.api.is_loopback();
            if !(there.is_secure() || is_local) {
                return Err(wrong("it redirects to an address without encryption"));
            }
            // Without the token: the link itself is the permission.
            response = self.client.send(&Request::new(Method::GET, &there))?;
            url = there;
        }
        if !response.is_success() {
            return Err(response.refusal("").into());
        }
        let expected = response.header("content-length").and_then(|length| length.trim().parse::<u64>().ok());
        io::Seek::rewind(into).and_then(|()| into.set_len(0)).map_err(|error| unwritable(&error))?;
        let mut sum = HashingStream::new(into);
        let mut stream = response.stream();
        let (mut buffer, mut length) = ([0; 64 << 10], 0_u64);
        loop {
            let read = stream.read(&mut buffer).map_err(|error| wrong(&format!("the file was cut: {error}")))?;
            if read == 0 {
                break;
            }
            length += read as u64;
            if length > most {
                return Err(Error::Usage(format!("{address} is larger than the limit of {most} bytes")));
            }
            sum.write_all(&buffer[..read]).map_err(|error| unwritable(&error))?;
        }
        if expected.is_some_and(|expected| expected != length) {
            return Err(wrong("the file was cut"));
        }
        Ok(sum.finish().0.to_string())
    }
}

fn unwritable(error: &io::Error) -> Error {
    Error::Setup(format!("cannot write the file: {error}"))
}

fn decoded<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, Error> {
    serde_json::from_value(value)
        .map_err(|error| Error::Protocol { request: format!("GET {path}"), problem: error.to_string() })
}

#[cfg(test)]
mod tests;
