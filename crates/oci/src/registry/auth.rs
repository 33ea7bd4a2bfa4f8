//! Authentication: requests are repeated with the credentials that the registry asks for.
//!
//! Distribution, "Token Authentication Specification" and "OAuth2 Token Authentication". Credentials are sent only to their
//! own origin and to the token service that it names, and never unencrypted, except on this machine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;

use super::challenge::{self, Challenge, Scope};
use super::credentials::{Login, Secret};
use super::{Registry, RegistryError};
use drydock_http::{Content, Method, Request, Response, Retry, Url, printable};

/// The maximum size of a token service's response, in bytes.
const LARGEST_TOKEN: u64 = 1 << 20;
/// The lifetime of a token without `expires_in`, in seconds, by the specification.
const SHORTEST_LIFE: u64 = 60;
/// A token is not used in its last seconds before expiry.
const SPARE: u64 = 10;

/// The authentication state of a registry.
#[derive(Default)]
pub(super) struct Known {
    state: Mutex<State>,
    /// Held while a token is fetched, so that threads that need the same one wait for it.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The last challenge.
    challenge: Option<Challenge>,
    tokens: Vec<Token>,
    /// The credentials by the path of the repository.
    logins: HashMap<String, Option<Arc<Login>>>,
}

struct Token {
    scope: Scope,
    header: String,
    until: Timestamp,
}

/// What a token service returns (distribution, "Token Authentication Specification"; "OAuth2 Token Authentication").
#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    /// Some services write it as text. What is not a number of seconds counts as absent.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl TokenAnswer {
    fn token(&self) -> Option<&str> {
        [&self.token, &self.access_token].into_iter().flatten().map(String::as_str).find(|token| !token.is_empty())
    }

    /// The life of the token in seconds.
    fn life(&self) -> u64 {
        let seconds = match &self.expires_in {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        // Negative numbers become 0.
        let life = seconds.map_or(SHORTEST_LIFE, |seconds| seconds as u64);
        life.clamp(SHORTEST_LIFE, 24 * 60 * 60)
    }
}

impl Registry {
    /// Sends a request about a repository. Only the registry's own origin gets credentials.
    pub(super) fn send(&self, path: &str, scope: &Scope, call: Request<'_>) -> anyhow::Result<Response> {
        if !call.url.same_origin(&self.inner.base) {
            return Ok(self.client_for(call.url)?.send(&call)?);
        }
        let bare = call.headers.clone();
        let mut call = call;
        let sent = self.remembered(path, scope)?;
        if let Some(header) = &sent {
            call.headers.push(("authorization", header.clone()));
        }
        let mut answer = self.inner.client.send(&call)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let offers = answer.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        let challenge = match challenge::choose(offers) {
            Some(challenge) => Some(challenge),
            None => self.first_challenge()?,
        };
        let Some(challenge) = challenge else {
            return Err(answer.refusal("the response has no usable WWW-Authenticate header").into());
        };
        let scope = match &challenge {
            Challenge::Basic => scope.clone(),
            Challenge::Bearer { scope: asked, .. } => scope.clone().widened(asked),
        };
        let Some(header) = self.renewed(path, &scope, challenge, sent)? else {
            return Err(answer.refusal(&self.remedy_for_401(path)?).into());
        };
        // Read, so that the connection can be used again.
        drop(answer.bytes(LARGEST_TOKEN));
        call.headers = bare;
        call.headers.push(("authorization", header));
        let answer = self.inner.client.send(&call)?;
        if answer.status == 401 {
            self.forget(&scope);
            return Err(answer.refusal(&self.remedy_for_401(path)?).into());
        }
        Ok(answer)
    }

    /// Asks for the challenge at the base address, where docker asks first: some registries send it only there.
    fn first_challenge(&self) -> anyhow::Result<Option<Challenge>> {
        let answer = self.inner.client.send(&Request::new(Method::GET, &self.inner.base))?;
        let offers = answer.headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok());
        Ok(challenge::choose(offers))
    }

    /// Returns the `Authorization` header that the registry is known to want; a new token is fetched if necessary.
    fn remembered(&self, path: &str, scope: &Scope) -> anyhow::Result<Option<String>> {
        if let Some(header) = self.kept(scope) {
            return Ok(Some(header));
        }
        let Some(challenge) = self.state().challenge.clone() else { return Ok(None) };
        self.renewed(path, scope, challenge, None)
    }

    /// Returns a header other than `refused`, which was sent and not accepted: that of another thread, or a new one.
    fn renewed(
        &self,
        path: &str,
        scope: &Scope,
        challenge: Challenge,
        refused: Option<String>,
    ) -> anyhow::Result<Option<String>> {
        let _guard = self.inner.known.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        match self.kept(scope) {
            Some(header) if Some(&header) != refused.as_ref() => return Ok(Some(header)),
            Some(_) => self.forget(scope),
            None => {}
        }
        self.prove(path, scope, challenge)
    }

    /// Returns the header of a valid token for the scope.
    fn kept(&self, scope: &Scope) -> Option<String> {
        let now = self.now();
        let state = self.state();
        let good = |token: &&Token| token.until > now && token.scope.covers(scope);
        state.tokens.iter().find(good).map(|token| token.header.clone())
    }

    /// Returns the header for a challenge; none without credentials.
    fn prove(&self, path: &str, scope: &Scope, challenge: Challenge) -> anyhow::Result<Option<String>> {
        let login = self.login(path)?;
        let header = match (&challenge, login.as_deref().map(|login| &login.secret)) {
            (_, Some(Secret::Bearer(token))) => Some(bearer(token)?),
            (Challenge::Basic, Some(Secret::Basic { user, password })) => Some(basic(user, password)),
            (Challenge::Basic, Some(Secret::Identity(_)) | None) => None,
            (Challenge::Bearer { realm, service, .. }, _) => {
                let token = self.token(realm, service.as_deref(), scope, login.as_deref())?;
                let header = token.header.clone();
                self.state().tokens.push(token);
                Some(header)
            }
        };
        self.state().challenge = Some(challenge);
        Ok(header)
    }

    fn token(&self, realm: &str, service: Option<&str>, scope: &Scope, login: Option<&Login>) -> anyhow::Result<Token> {
        let host = self.host();
        let address = Url::parse(realm).ok_or_else(|| {
            RegistryError::protocol(format!("invalid `realm` in WWW-Authenticate of {host}: {}", printable(realm)))
        })?;
        let here = address.is_loopback() && self.inner.base.is_loopback();
        if !address.is_secure() && !here {
            let why = "credentials are never sent unencrypted; ask the operator for an https realm";
            return Err(RegistryError::protocol(format!("{host} names the token service {address}; {why}")));
        }
        let scopes = scope.texts();
        let joined = scopes.join(" ");
        let service = service.unwrap_or_default();
        let mut parameters: Vec<(&str, &str)> = Vec::new();
        if !service.is_empty() {
            parameters.push(("service", service));
        }
        let form;
        let url;
        let call = match login.map(|login| &login.secret) {
            Some(Secret::Identity(token)) => {
                parameters.extend([("grant_type", "refresh_token"), ("client_id", "drydock"), ("scope", &joined)]);
                parameters.push(("refresh_token", token));
                form = Url::form(&parameters);
                url = address;
                Request::new(Method::POST, &url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .content(Content::Bytes(form.as_bytes()))
                    .retry(Retry::Always)
            }
            Some(Secret::Basic { user, password }) => {
                parameters.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
                parameters.push(("client_id", "drydock"));
                url = address.with_query(&parameters);
                Request::new(Method::GET, &url).header("authorization", basic(user, password))
            }
            Some(Secret::Bearer(_)) | None => {
                parameters.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
                url = address.with_query(&parameters);
                Request::new(Method::GET, &url)
            }
        };
        let mut answer = self.client_for(&url)?.send(&call)?;
        if !answer.is_success() {
            let remedy = match (answer.status, login) {
                (400 | 401 | 403, Some(login)) => refused_login(login, host),
                (400 | 401 | 403, None) => self.without_login(),
                _ => "this is the token service of the registry".to_owned(),
            };
            return Err(answer.refusal(&remedy).into());
        }
        let read: Option<TokenAnswer> = serde_json::from_slice(&answer.bytes(LARGEST_TOKEN)?).ok();
        let token = read.as_ref().and_then(|read| Some((read.token()?, read.life())));
        let (token, life) =
            token.ok_or_else(|| RegistryError::protocol(format!("the token service {url} returned no token")))?;
        let until = self.now().checked_add(Duration::from_secs(life - SPARE)).context("token expiry overflows")?;
        Ok(Token { scope: scope.clone(), header: bearer(token)?, until })
    }

    fn login(&self, path: &str) -> anyhow::Result<Option<Arc<Login>>> {
        if let Some(known) = self.state().logins.get(path) {
            return Ok(known.clone());
        }
        let login = self.inner.credentials.find(self.host(), path)?.map(Arc::new);
        self.state().logins.insert(path.to_owned(), login.clone());
        Ok(login)
    }

    /// Returns the remedy for a refusal, which depends on the source of the credentials.
    pub(super) fn remedy_for_401(&self, path: &str) -> anyhow::Result<String> {
        Ok(match self.login(path)? {
            Some(login) => refused_login(&login, self.host()),
            None => self.without_login(),
        })
    }

    /// Describes the account for a repository, for an error message.
    pub(super) fn account(&self, path: &str) -> String {
        let login = self.state().logins.get(path).cloned().flatten();
        login.map_or_else(|| "an anonymous user".to_owned(), |login| format!("the account of {}", login.source))
    }

    fn without_login(&self) -> String {
        let host = self.host();
        let places = self.inner.credentials.places(host);
        format!("no credentials for {host} in {places}; run `docker login {host}`")
    }

    fn forget(&self, scope: &Scope) {
        self.state().tokens.retain(|token| !token.scope.covers(scope));
    }

    fn now(&self) -> Timestamp {
        self.inner.client.retry_policy().clock.now()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.known.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused_login(login: &Login, host: &str) -> String {
    format!("the credentials of {} for {host} were rejected; renew them with `docker login {host}`", { login.source() })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Checks a token: one with line breaks could inject other headers.
fn bearer(token: &str) -> anyhow::Result<String> {
    if token.is_empty() || token.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(RegistryError::protocol("the token has characters that are not allowed in a header"));
    }
    Ok(format!("Bearer {token}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_all_token_services_are_read() {
        for (text, expected) in [
            (r#"{"token":"t"}"#, Some(("t", 60))),
            (r#"{"token":"t","access_token":"a","expires_in":300,"issued_at":"never"}"#, Some(("t", 300))),
            (r#"{"token":"","access_token":"a","expires_in":"3600"}"#, Some(("a", 3600))),
            (r#"{"token":null,"access_token":"a","expires_in":299.7}"#, Some(("a", 299))),
            (r#"{"token":"t","expires_in":-5}"#, Some(("t", 60))),
            (r#"{"token":"t","expires_in":"soon"}"#, Some(("t", 60))),
            (r#"{"token":"t","expires_in":1e300}"#, Some(("t", 86400))),
            (r#"{"token":"t","expires_in":null}"#, Some(("t", 60))),
            (r#"{"token":""}"#, None),
            (r#"{"expires_in":300}"#, None),
        ] {
            let read: TokenAnswer = serde_json::from_str(text).unwrap();
            assert_eq!(read.token().map(|token| (token, read.life())), expected, "{text}");
        }
    }
}
