//! The responses, in the form of GitHub's description of its API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, Request, State, StoredRelease};
use drydock_base::checksum::Checksum;

/// The time of everything.
const TIME: &str = "2026-01-01T00:00:00Z";

/// A server at the moment of a request.
pub(super) struct Server<'a> {
    pub(super) address: &'a str,
    pub(super) public: &'a str,
    /// The path of the repository.
    pub(super) prefix: &'a str,
    pub(super) state: &'a mut State,
}

impl Server<'_> {
    /// Serves a request. `is_cut` says that the upload did not arrive as a whole.
    pub(super) fn answer(&mut self, request: &Request, is_cut: bool) -> Answer {
        let missing = || Answer::refused(404, "Not Found");
        let (method, target) = request.line.split_once(' ').unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if let Some(id) = path.strip_prefix("/blob/") {
            // The link is the permission: a token here would be one that leaked.
            if request.has_token {
                return Answer::refused(400, "a token leaked");
            }
            let content = self.state.asset(number(id)).unwrap_or_default().to_vec();
            return Answer { status: 200, more: "content-type: application/octet-stream\r\n".into(), content };
        }
        if !request.has_token {
            return Answer::refused(401, "Bad credentials");
        }
        let Some(path) = path.strip_prefix(self.prefix) else { return missing() };
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            ("GET", []) => Answer::json(200, &json!({})),
            ("GET", ["git", "ref", name]) => self.tag(&name.replace("%2F", "/")),
            ("GET", ["releases"]) => self.releases(query),
            ("POST", ["releases"]) => self.create(&request.body),
            ("PATCH", ["releases", id]) => self.publish(number(id), &request.body),
            ("GET", ["releases", id, "assets"]) => match self.state.release(number(id)).cloned() {
                Some(release) => Answer::json(200, &self.assets(&release)),
                None => missing(),
            },
            ("POST", ["releases", id, "assets"]) => self.upload(number(id), query, &request.body, is_cut),
            ("GET", ["releases", "assets", id]) => match self.state.asset(number(id)) {
                Some(_) => {
                    let more = format!("location: {}/blob/{id}\r\n", self.address);
                    Answer { status: 302, more, content: Vec::new() }
                }
                None => missing(),
            },
            ("DELETE", ["releases", "assets", id]) => self.delete(number(id)),
            // Whoever has the token may write, and everything has passed.
            ("POST", ["releases", "generate-notes"]) => Answer::json(200, &json!({"name": "", "body": ""})),
            ("GET", ["commits", _, "check-runs"]) => {
                let run = json!({"id": 1, "name": "ci", "status": "completed", "conclusion": "success"});
                Answer::json(200, &json!({"total_count": 1, "check_runs": [run]}))
            }
            ("GET", ["commits", _, "status"]) => {
                Answer::json(200, &json!({"state": "success", "statuses": [], "total_count": 0}))
            }
            _ => missing(),
        }
    }

    fn tag(&self, name: &str) -> Answer {
        let found = name.strip_prefix("tags/").and_then(|tag| self.state.tags.get(tag));
        let Some(object) = found else { return Answer::refused(404, "Not Found") };
        let url = format!("{}{}/git/tags/{object}", self.public, self.prefix);
        let value = json!({
            "ref": format!("refs/{name}"), "node_id": "REF", "url": format!("{}{}/git/refs/{name}", self.public, self.prefix),
            "object": {"type": "tag", "sha": object, "url": url},
        });
        Answer::json(200, &value)
    }

    /// One release a page, so that clients have to read all pages.
    fn releases(&self, query: &str) -> Answer {
        let page = query.split('&').find_map(|pair| pair.strip_prefix("page=")).map_or(1, number);
        let at = usize::try_from(page.saturating_sub(1)).unwrap_or(0);
        let list: Vec<Value> = self.state.releases.iter().skip(at).take(1).map(|one| self.shown(one)).collect();
        let mut answer = Answer::json(200, &Value::Array(list));
        if at + 1 < self.state.releases.len() {
            let url = format!("{}{}/releases?per_page=100&page={}", self.public, self.prefix, page + 1);
            answer.more = format!("link: <{url}>; rel=\"next\"\r\n");
        }
        answer
    }

    fn create(&mut self, body: &[u8]) -> Answer {
        let new: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(tag) = new["tag_name"].as_str() else { return Answer::refused(422, "tag_name is missing") };
        let release = StoredRelease {
            id: self.state.number(),
            tag: tag.to_owned(),
            body: new["body"].as_str().unwrap_or_default().to_owned(),
            draft: new["draft"].as_bool().unwrap_or(false),
            prerelease: new["prerelease"].as_bool().unwrap_or(false),
            assets: BTreeMap::new(),
        };
        let value = self.shown(&release);
        self.state.releases.push(release);
        Answer::json(201, &value)
    }

    fn publish(&mut self, id: u64, body: &[u8]) -> Answer {
        let change: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(release) = self.state.release(id) else { return Answer::refused(404, "Not Found") };
        release.draft = change["draft"].as_bool().unwrap_or(release.draft);
        let release = release.clone();
        if change["make_latest"] == "true" {
            self.state.latest.clone_from(&release.tag);
        }
        Answer::json(200, &self.shown(&release))
    }

    fn upload(&mut self, id: u64, query: &str, body: &[u8], is_cut: bool) -> Answer {
        let number = self.state.number();
        let Some(release) = self.state.release(id) else { return Answer::refused(404, "Not Found") };
        let Some(name) = query.split('&').find_map(|pair| pair.strip_prefix("name=")) else {
            return Answer::refused(422, "name is missing");
        };
        if !release.draft {
            return Answer::refused(422, "Cannot upload assets to an immutable release.");
        }
        if release.assets.contains_key(name) {
            let value = json!({"message": "Validation Failed", "errors": [{"code": "already_exists"}]});
            return Answer::json(422, &value);
        }
        let content = if is_cut { None } else { Some(body.to_vec()) };
        release.assets.insert(name.to_owned(), (number, content.clone()));
        Answer::json(201, &self.shown_asset(name, number, content.as_deref()))
    }

    fn delete(&mut self, id: u64) -> Answer {
        let found = self.state.releases.iter_mut().find(|release| release.assets.values().any(|(one, _)| *one == id));
        let Some(release) = found else { return Answer::refused(404, "Not Found") };
        if !release.draft {
            return Answer::refused(422, "Cannot delete asset from an immutable release");
        }
        release.assets.retain(|_, (one, _)| *one != id);
        Answer { status: 204, more: String::new(), content: Vec::new() }
    }

    fn assets(&self, release: &StoredRelease) -> Value {
        let one =
            |(name, (id, content)): (&String, &(u64, Option<Vec<u8>>))| self.shown_asset(name, *id, content.as_deref());
        release.assets.iter().map(one).collect()
    }

    fn shown_asset(&self, name: &str, id: u64, content: Option<&[u8]>) -> Value {
        let url = format!("{}{}/releases/assets/{id}", self.public, self.prefix);
        let digest = content.map(|content| format!("sha256:{}", Checksum::new(content)));
        json!({
            "url": url, "browser_download_url": url, "id": id, "node_id": "ASSET", "name": name, "label": null,
            "state": if content.is_some() { "uploaded" } else { "open" }, "content_type": "application/octet-stream",
            "size": content.map_or(0, <[u8]>::len), "digest": digest, "download_count": 0, "created_at": TIME, "updated_at": TIME,
            "uploader": self.user(),
        })
    }

    fn shown(&self, release: &StoredRelease) -> Value {
        let StoredRelease { id, tag, body, draft, prerelease, .. } = release;
        let api = format!("{}{}/releases/{id}", self.public, self.prefix);
        json!({
            "url": api, "html_url": format!("https://github.com{}/releases/{id}", self.prefix.trim_start_matches("/repos")),
            "assets_url": format!("{api}/assets"), "upload_url": format!("{api}/assets{{?name,label}}"),
            "tarball_url": null, "zipball_url": null, "id": id, "node_id": "RELEASE", "tag_name": tag, "target_commitish": "main",
            "name": tag, "body": body, "draft": draft, "prerelease": prerelease, "immutable": !draft, "created_at": TIME,
            "published_at": if *draft { Value::Null } else { TIME.into() }, "author": self.user(), "assets": self.assets(release),
        })
    }

    fn user(&self) -> Value {
        let url = format!("{}/users/captain", self.public);
        let urls = [
            "avatar_url",
            "events_url",
            "followers_url",
            "following_url",
            "gists_url",
            "html_url",
            "organizations_url",
            "received_events_url",
            "repos_url",
            "starred_url",
            "subscriptions_url",
            "url",
        ];
        let mut user = json!({
            "login": "captain", "id": 1, "node_id": "USER", "gravatar_id": "", "type": "User", "site_admin": false,
        });
        for name in urls {
            user[name] = url.clone().into();
        }
        user
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}
