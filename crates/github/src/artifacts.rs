//! Artifacts of the run of GitHub Actions that this process is a part of, over the interface that GitHub's own actions use.
//!
//! An artifact is there for others only when it is finished, so one whose upload was cut does not exist. Source: the package
//! `artifact` of github.com/actions/toolkit; contents are written as Azure's blobs are (Put Block, Put Block List).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use drydock_base::checksum::Checksum;
use drydock_base::text::one_line;
use drydock_http::{Client, Content, Method, NetworkEnv, Request, Retry, RetryPolicy, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Error;

/// The path of the interface.
const SERVICE: &str = "twirp/github.actions.results.api.v1.ArtifactService";
/// The scope of a token that may write artifacts.
const SCOPE: &str = "Actions.Results";
/// The largest response, in bytes.
const LARGEST_RESPONSE: u64 = 1 << 20;

/// What a runner gives its actions: an address and a token, which is never shown.
pub struct Runtime {
    url: Url,
    token: String,
    /// The identifiers of the run and of the job, which the token names.
    run: String,
    job: String,
}

/// The file in which a workflow hands it over.
#[derive(Deserialize)]
struct Handed {
    url: Option<String>,
    token: Option<String>,
}

impl Runtime {
    /// Reads it: a JSON object with `url` (`ACTIONS_RESULTS_URL`) and `token` (`ACTIONS_RUNTIME_TOKEN`).
    ///
    /// # Errors
    /// Something is missing, the address would get the token without encryption, or the token is not one for artifacts.
    pub fn parse(text: &[u8]) -> Result<Runtime, Error> {
        let setup = |text: &str| Error::Setup(text.to_owned());
        let handed: Handed = serde_json::from_slice(text)
            .map_err(|_| setup("the file is not a JSON object with `url` and `token` of the runner"))?;
        let url = handed.url.filter(|url| !url.is_empty());
        let url = url.as_deref().map(|url| url.trim_end_matches('/')).and_then(Url::parse);
        let url = url.ok_or_else(|| setup("the runner gave no address for artifacts (ACTIONS_RESULTS_URL)"))?;
        if !url.is_secure() && !url.is_loopback() {
            return Err(setup("the address for artifacts must begin with https, since a token is sent to it"));
        }
        let token = handed.token.unwrap_or_default();
        let (run, job) = identifiers(&token)
            .ok_or_else(|| setup("the runner's token (ACTIONS_RUNTIME_TOKEN) is not one for artifacts"))?;
        Ok(Runtime { url, token, run, job })
    }
}

/// The run and the job that a token is for: a claim of the JSON Web Token.
fn identifiers(token: &str) -> Option<(String, String)> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let scopes = claims["scp"].as_str()?.split(' ');
    let mut found = scopes.filter_map(|scope| scope.strip_prefix(SCOPE)?.strip_prefix(':')?.split_once(':'));
    found.next().filter(|(_, job)| !job.contains(':')).map(|(run, job)| (run.to_owned(), job.to_owned()))
}

/// The artifacts of the run.
pub struct Artifacts {
    runtime: Runtime,
    network: NetworkEnv,
    policy: RetryPolicy,
}

impl Artifacts {
    /// The artifacts of the run that gave `runtime`.
    pub fn new(runtime: Runtime, network: NetworkEnv) -> Artifacts {
        Artifacts { runtime, network, policy: RetryPolicy::default() }
    }

    /// Uploads a zip file as an artifact of that name, which no artifact of the run has. GitHub deletes it at `expires`, or as
    /// the repository says.
    ///
    /// # Errors
    /// [`Error`]; then there is no artifact of that name.
    pub fn upload(&self, name: &str, zip: &[u8], expires: Option<jiff::Timestamp>) -> Result<(), Error> {
        let mut asked = self.named(name);
        asked["version"] = 4.into();
        if let Some(expires) = expires {
            asked["expires_at"] = expires.to_string().into();
        }
        let made = self.ask("CreateArtifact", &asked)?;
        let link = made.get("signed_upload_url").or_else(|| made.get("signedUploadUrl")).and_then(Value::as_str);
        let link = link
            .and_then(Url::parse)
            .filter(|link| link.is_secure() || link.is_loopback() && self.runtime.url.is_loopback());
        let link = link.ok_or_else(|| wrong("CreateArtifact", "it names no address with encryption to write to"))?;
        let client = self.client(&link)?;
        let block = STANDARD.encode("00000000");
        self.put(&client, &link.with_query(&[("comp", "block"), ("blockid", &block)]), zip)?;
        let list = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>{block}</Latest></BlockList>");
        self.put(&client, &link.with_query(&[("comp", "blocklist")]), list.as_bytes())?;
        let mut finished = self.named(name);
        finished["size"] = zip.len().to_string().into();
        finished["hash"] = format!("sha256:{}", Checksum::new(zip)).into();
        self.ask("FinalizeArtifact", &finished).map(drop)
    }

    /// Deletes an artifact of the run.
    ///
    /// # Errors
    /// [`Error`]
    pub fn delete(&self, name: &str) -> Result<(), Error> {
        self.ask("DeleteArtifact", &self.named(name)).map(drop)
    }

    fn named(&self, name: &str) -> Value {
        let Runtime { run, job, .. } = &self.runtime;
        json!({"workflow_run_backend_id": run, "workflow_job_run_backend_id": job, "name": name})
    }

    fn client(&self, url: &Url) -> Result<Client, Error> {
        let (roots, proxy) = (self.network.roots()?, self.network.proxy_for(url.authority())?);
        Ok(Client::new(self.policy.clone(), &roots, proxy.as_ref())?)
    }

    fn ask(&self, method: &str, body: &Value) -> Result<Value, Error> {
        let whole = format!("{}/{SERVICE}/{method}", self.runtime.url.whole().trim_end_matches('/'));
        let url = Url::parse(&whole).ok_or_else(|| Error::Setup("the address for artifacts is not valid".into()))?;
        let content = serde_json::to_vec(body).map_err(|error| wrong(method, &error.to_string()))?;
        let request = Request::new(Method::POST, &url)
            .header("authorization", format!("Bearer {}", self.runtime.token))
            .header("content-type", "application/json")
            .content(Content::Bytes(&content))
            .retry(Retry::Refused);
        let mut response = self.client(&url)?.send(&request)?;
        let bytes = response.bytes(LARGEST_RESPONSE)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !response.is_success() {
            let message = one_line(value["msg"].as_str().unwrap_or_default(), 300);
            return Err(Error::Refused { request: method.to_owned(), status: response.status, message, remedy: "" });
        }
        if value["ok"] != Value::Bool(true) {
            return Err(wrong(method, "it was not done"));
        }
        Ok(value)
    }

    /// Writes to an address that is itself the permission, so the token is not sent.
    fn put(&self, client: &Client, url: &Url, content: &[u8]) -> Result<(), Error> {
        let request = Request::new(Method::PUT, url).header("content-type", "application/octet-stream");
        let response = client.send(&request.content(Content::Bytes(content)))?;
        if response.is_success() { Ok(()) } else { Err(response.refusal("").into()) }
    }
}

fn wrong(method: &str, problem: &str) -> Error {
    Error::Protocol { request: method.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(scopes: &str) -> String {
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(json!({"scp": scopes}).to_string()))
    }

    #[track_caller]
    fn check(url: &str, token: &str, expected: Result<(&str, &str), &str>) {
        let text = json!({"url": url, "token": token}).to_string();
        match (Runtime::parse(text.as_bytes()), expected) {
            (Ok(runtime), Ok(expected)) => assert_eq!((runtime.run.as_str(), runtime.job.as_str()), expected),
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{error}");
                assert!(token.is_empty() || !error.to_string().contains(token), "{error}");
            }
            (Ok(_), Err(words)) => panic!("it was taken: {words}"),
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    }

    #[test]
    fn what_a_runner_hands_over_is_read_or_refused() {
        let good = token("Actions.Example Actions.Results:ce7f:ca39");
        check("https://results.example/", &good, Ok(("ce7f", "ca39")));
        check("http://127.0.0.1:34567/", &good, Ok(("ce7f", "ca39")));
        check("http://results.example/", &good, Err("must begin with https"));
        check("", &good, Err("gave no address"));
        for other in [token("Actions.Example"), token("Actions.Results:a"), token("Actions.Results:a:b:c"), "x".into()]
        {
            check("https://results.example/", &other, Err("is not one for artifacts"));
        }
        assert!(Runtime::parse(b"junk").is_err() && Runtime::parse(b"{}").is_err());
    }
}
