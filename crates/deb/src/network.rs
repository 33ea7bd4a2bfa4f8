//! HTTP clients for mirrors and for Launchpad, with the proxies and certificates of the environment.

use std::ffi::OsString;

use anyhow::anyhow;

use drydock_http::{Client, Method, NetworkEnv, Request, RetryPolicy, Url};

/// The most redirects that are followed to find out whether something exists.
const MAX_REDIRECTS: usize = 5;

/// The network settings of the environment.
#[derive(Debug, Clone, Default)]
pub struct Network {
    environment: NetworkEnv,
    /// `http_proxy`; as in curl, the upper-case name does not count, because CGI sets it from a header.
    http_proxy: Option<String>,
}

impl Network {
    /// Reads the settings from environment variables.
    pub fn new(variable: &dyn Fn(&str) -> Option<OsString>) -> Network {
        let http_proxy = variable("http_proxy").and_then(|value| value.into_string().ok());
        Network { environment: NetworkEnv::new(variable), http_proxy: http_proxy.filter(|value| !value.is_empty()) }
    }

    /// A client for the host of an address.
    ///
    /// # Errors
    /// The environment names an invalid proxy or an unreadable file of certificates.
    pub(crate) fn client(&self, url: &Url, policy: RetryPolicy) -> anyhow::Result<Client> {
        let (roots, proxy) = if url.is_secure() {
            (self.environment.roots()?, self.environment.proxy_for(url.authority())?)
        } else {
            let plain = NetworkEnv { proxy: self.http_proxy.clone(), ..self.environment.clone() };
            (Default::default(), plain.proxy_for(url.authority())?)
        };
        Ok(Client::new(policy, &roots, proxy.as_ref())?)
    }

    /// Checks that an address exists, following redirects.
    ///
    /// # Errors
    /// The address is invalid, cannot be reached, or is answered with another status than success.
    pub(crate) fn check_exists(&self, address: &str, policy: &RetryPolicy) -> anyhow::Result<()> {
        let mut url = Url::parse(address).ok_or_else(|| anyhow!("invalid URL {address}"))?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.client(&url, policy.clone())?.send(&Request::new(Method::HEAD, &url))?;
            if response.is_success() {
                return Ok(());
            }
            match response.header("location").and_then(|location| url.join(location)) {
                Some(next) if (300..400).contains(&response.status) => url = next,
                Some(_) | None => return Err(anyhow!("{url} was answered with status {}", response.status)),
            }
        }
        Err(anyhow!("{address} redirects more than {MAX_REDIRECTS} times"))
    }
}
