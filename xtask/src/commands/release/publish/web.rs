//! Reading what the web offers to users, without credentials.

use drydock_base::failure::Failure;
use drydock_http::{Client, Method, NetworkEnv, Request, Response, RetryPolicy, Url};

/// The most redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The media types.
    pub(super) accept: &'static str,
    /// Whether redirects to another host are followed.
    pub(super) may_leave_origin: bool,
    /// GET or HEAD.
    pub(super) method: Method,
}

impl Default for Wanted {
    fn default() -> Wanted {
        Wanted { accept: "*/*", may_leave_origin: false, method: Method::GET }
    }
}

/// Gets an address, following redirects. The response may be a refusal.
///
/// # Errors
/// There is no response, or it leads to another host against what is wanted, or it redirects too often.
pub(super) fn get(url: &Url, wanted: &Wanted) -> anyhow::Result<Response> {
    let mut url = url.clone();
    let environment = NetworkEnv::new(&|name| std::env::var_os(name));
    for _ in 0..=MOST_REDIRECTS {
        let proxy = if url.is_loopback() { None } else { environment.proxy_for(url.authority())? };
        let roots = if url.is_secure() { environment.roots()? } else { Default::default() };
        let client = Client::new(RetryPolicy { tries: 3, ..RetryPolicy::default() }, &roots, proxy.as_ref())?;
        // Caches on the way are asked to look at the origin.
        let request = Request::new(wanted.method.clone(), &url).header("cache-control", "no-cache");
        let response = client.send(&request.header("accept", wanted.accept))?;
        let next = response.header("location").and_then(|location| url.join(location));
        match next {
            Some(next) if (300..400).contains(&response.status) => {
                if !wanted.may_leave_origin && !next.same_origin(&url) {
                    return Err(Failure::remote(format!(
                        "{url} leads to another host, {}, whose files say nothing about this server",
                        next.authority()
                    )));
                }
                url = next;
            }
            Some(_) | None => return Ok(response),
        }
    }
    Err(Failure::remote(format!("{url} redirects more than {MOST_REDIRECTS} times")))
}
