//! Releases: drafts, their files, and their publication.

use std::fs::File;
use std::io;

use drydock_http::{Content, Method, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Payload, decoded};
use crate::error::Error;

/// The media type of files.
const BYTES: &str = "application/octet-stream";

/// A release of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Release {
    /// The number.
    pub id: u64,
    /// The name of the tag.
    pub tag_name: String,
    /// Whether only maintainers can see it.
    pub draft: bool,
    /// Whether it is not a full release.
    pub prerelease: bool,
    /// Whether its files can never be changed.
    #[serde(default)]
    pub immutable: bool,
    /// The address for uploads, with a template at its end.
    pub upload_url: String,
    /// The page for people.
    pub html_url: String,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Asset {
    /// The number.
    pub id: u64,
    /// The name.
    pub name: String,
    /// `uploaded`; anything else is a file whose upload was cut.
    pub state: String,
    /// The size in bytes.
    pub size: u64,
}

/// A release to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRelease<'a> {
    /// The name of a tag that exists.
    pub tag: &'a str,
    /// The title.
    pub title: &'a str,
    /// The text.
    pub body: &'a str,
    /// Whether it is not a full release.
    pub prerelease: bool,
}

impl Api {
    /// The object that a tag names, in hexadecimal digits; none without such a tag.
    ///
    /// # Errors
    /// [`Error`].
    pub fn tag(&self, name: &str) -> Result<Option<String>, Error> {
        // The name of the reference is one part of the path in GitHub's description, so all that is special is escaped.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let escaped = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        let path = format!("git/ref/{}", format!("tags/{name}").bytes().map(escaped).collect::<String>());
        match self.get::<Value>(&path) {
            Ok(value) => Ok(value["object"]["sha"].as_str().map(str::to_owned)),
            Err(Error::Refused { status: 404, .. }) => {
                // A repository that the token may not read is not one without the tag.
                self.get::<Value>("")?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// All releases, drafts too: GitHub finds those only in the list, and not by their tag.
    ///
    /// # Errors
    /// [`Error`].
    pub fn releases(&self) -> Result<Vec<Release>, Error> {
        self.entries("releases")
    }

    /// Makes a draft.
    ///
    /// # Errors
    /// [`Error`]; after one without a response the draft may be there.
    pub fn create_draft(&self, new: &NewRelease<'_>) -> Result<Release, Error> {
        let body = json!({
            "tag_name": new.tag, "name": new.title, "body": new.body, "draft": true, "prerelease": new.prerelease
        });
        decoded("releases", self.change(&Method::POST, "releases", &body)?)
    }

    /// Publishes a draft. `is_latest` says whether it becomes the latest release.
    ///
    /// # Errors
    /// [`Error`].
    pub fn publish(&self, release: u64, is_latest: bool) -> Result<Release, Error> {
        let path = format!("releases/{release}");
        let body = json!({"draft": false, "make_latest": if is_latest { "true" } else { "false" }});
        decoded(&path, self.change(&Method::PATCH, &path, &body)?)
    }

    /// The files of a release.
    ///
    /// # Errors
    /// [`Error`].
    pub fn assets(&self, release: u64) -> Result<Vec<Asset>, Error> {
        self.entries(&format!("releases/{release}/assets"))
    }

    /// Adds a file to a release.
    ///
    /// # Errors
    /// [`Error`]; 422 if it has one of this name. After one without a response the file may be there.
    pub fn upload(&self, release: &Release, name: &str, file: &File) -> Result<(), Error> {
        let plain = release.upload_url.split('{').next().unwrap_or_default();
        let wrong =
            |problem: &str| Error::Protocol { request: format!("upload of {name}"), problem: problem.to_owned() };
        let url = Url::parse(plain).ok_or_else(|| wrong("the address for uploads is not valid"))?;
        // The token goes there: to the API itself, or to the host that GitHub has for uploads.
        let api = &self.settings.api;
        let uploads = api.authority().strip_prefix("api.").map(|domain| format!("uploads.{domain}"));
        let is_known = url.is_secure() && uploads.is_some_and(|uploads| uploads == url.authority());
        if !url.same_origin(api) && !is_known {
            return Err(wrong("the address for uploads is on another host"));
        }
        let length = file.metadata().map_err(|error| unreadable(name, &error))?.len();
        let body = Some((BYTES, Content::Part { file, from: 0, length }));
        let payload = Payload { body, ..Payload::default() };
        self.exchange(&Method::POST, &url.with_query(&[("name", name)]), &payload)?
            .map(drop)
            .map_err(|refusal| refusal.error(REMEDY))
    }

    /// Writes a file of a release.
    ///
    /// # Errors
    /// [`Error`]; the file is larger than `most`.
    pub fn asset(&self, asset: u64, into: &mut File, most: u64) -> Result<String, Error> {
        self.download_as(&format!("releases/assets/{asset}"), BYTES, into, most)
    }

    /// Removes a file of a release.
    ///
    /// # Errors
    /// [`Error`].
    pub fn delete_asset(&self, asset: u64) -> Result<(), Error> {
        let url = self.address(&format!("releases/assets/{asset}"))?;
        let sent = self.exchange(&Method::DELETE, &url, &Payload::default())?;
        sent.map(drop).map_err(|refusal| refusal.error(REMEDY))
    }

    pub(super) fn change(&self, method: &Method, path: &str, body: &Value) -> Result<Value, Error> {
        let text = body.to_string();
        let body = Some(("application/json", Content::Bytes(text.as_bytes())));
        let url = self.address(path)?;
        let sent = self.exchange(method, &url, &Payload { body, ..Payload::default() })?;
        let mut response = sent.map_err(|refusal| refusal.error(REMEDY))?;
        let bytes = response.bytes(super::LARGEST_PAGE)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Protocol {
            request: format!("{method} {url}"),
            problem: format!("it is not JSON: {error}"),
        })
    }

    /// All entries of a list that is an array.
    pub(super) fn entries<T: for<'a> Deserialize<'a>>(&self, path: &str) -> Result<Vec<T>, Error> {
        let mut next = Some(self.address(path)?.with_query(&[("per_page", "100")]));
        let wrong = |problem: &str| Error::Protocol { request: format!("GET {path}"), problem: problem.to_owned() };
        let (mut all, mut pages_read) = (Vec::new(), 0);
        while let Some(url) = next {
            pages_read += 1;
            if pages_read > super::MOST_PAGES {
                return Err(wrong("the pages of the list do not end"));
            }
            let (page, link) = self.json(&url)?;
            let Value::Array(entries) = page else { return Err(wrong("it is not a list")) };
            for entry in entries {
                all.push(decoded(path, entry)?);
            }
            next = match link.map(|link| url.join(&link)) {
                None => None,
                Some(Some(there)) if there.same_origin(&self.settings.api) => Some(there),
                Some(_) => return Err(wrong("the next page is on another host")),
            };
        }
        Ok(all)
    }
}

/// The remedy for what GitHub refuses to a token.
const REMEDY: &str =
    "may the token in GH_TOKEN or GITHUB_TOKEN do this? Releases need the permission `contents: write`";

fn unreadable(name: &str, error: &io::Error) -> Error {
    Error::Setup(format!("cannot read {name}: {error}"))
}
