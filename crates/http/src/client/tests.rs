//! Servers that stand still, do not speak TLS, and proxies that refuse.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use jiff::Timestamp;
use reqwest::Method;

use super::*;
use crate::network_env::NetworkEnv;
use crate::retry::Clock;

/// A clock that does not wait.
struct Impatient;

impl Clock for Impatient {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, _: Duration) {}
}

fn client(policy: RetryPolicy, env: &NetworkEnv, authority: &str) -> Client {
    let policy = RetryPolicy { clock: Arc::new(Impatient), ..policy };
    Client::new(policy, &Roots::default(), env.proxy_for(authority).unwrap().as_ref()).unwrap()
}

/// A server that does the same with each connection; returns `127.0.0.1:PORT`.
fn server(with_each: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let with_each = Arc::new(with_each);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let with_each = Arc::clone(&with_each);
            thread::spawn(move || with_each(stream));
        }
    });
    address
}

/// Reads once, sends a response and ends the connection.
fn responding(response: &'static str) -> String {
    server(move |mut stream| {
        assert!(stream.read(&mut [0; 8192]).unwrap() > 0);
        stream.write_all(response.as_bytes()).unwrap();
    })
}

/// The error of a request.
#[track_caller]
fn error(client: &Client, url: &str) -> String {
    let url = Url::parse(url).unwrap();
    client.send(&Request::new(Method::GET, &url)).err().unwrap().to_string()
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(text.contains(word), "{word}: {text}"));
}

#[test]
fn an_upload_that_stands_still_is_announced() {
    let host = server(|mut stream| {
        stream.read_exact(&mut [0; 100]).unwrap();
        // It takes no more, and stays.
        thread::park();
    });
    let file = tempfile::tempfile().unwrap();
    let length = 256 << 20;
    file.set_len(length).unwrap();
    let policy =
        RetryPolicy { notice: Duration::from_millis(200), silence: Duration::from_secs(1), ..RetryPolicy::default() };
    let client = client(policy, &NetworkEnv::default(), &host);
    let url = Url::parse(&format!("http://{host}/")).unwrap();
    let request = Request::new(Method::PUT, &url).content(Content::Part { file: &file, from: 0, length });
    let error = client.send(&request.retry(Retry::Never)).err().unwrap().to_string();
    has(&error, &["no response: timeout"]);
    assert!(client.hosts.was_silent(&host, Silence::Upload));
}

#[test]
fn a_server_that_does_not_speak_tls_is_named() {
    for (response, words) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "no response: received corrupt message of type InvalidContentType; the server does not speak TLS on this port: is the port right?",
        ),
        ("", "no response to 3 attempts: tls handshake eof; does the server speak TLS on this port?"),
    ] {
        let host = responding(response);
        let client = client(RetryPolicy::default(), &NetworkEnv::default(), &host);
        has(&error(&client, &format!("https://{host}/")), &[words]);
    }
}

#[test]
fn what_is_wrong_with_a_proxy_is_said_of_the_proxy() {
    // No such host: only the proxy could know it.
    let url = "https://registry.invalid/v2/";
    let through = |proxy: &str, no_proxy: &str| {
        let env = NetworkEnv {
            proxy: Some(format!("http://me:s3cret@{proxy}")),
            no_proxy: Some(no_proxy.to_owned()),
            ..NetworkEnv::default()
        };
        let found = error(&client(RetryPolicy::default(), &env, "registry.invalid"), url);
        assert!(!found.contains("s3cret"), "{found}");
        found
    };
    let found = through("127.0.0.1:1", "");
    let words = "the proxy 127.0.0.1:1 of HTTPS_PROXY: Connection refused";
    has(
        &found,
        &[
            "GET https://registry.invalid/v2/: no response to 3 attempts: ",
            words,
            "; is its address right, and is it running?",
        ],
    );
    has(&through("proxy.invalid", ""), &["the proxy proxy.invalid:80 of HTTPS_PROXY: ", "; is its name right?"]);
    for (response, reason) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "proxy authorization required"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "unsuccessful"),
    ] {
        let proxy = responding(response);
        let cause =
            format!("the proxy {proxy} of HTTPS_PROXY does not connect to registry.invalid (tunnel error: {reason}); ");
        let remedy = "is that host allowed there, and are a user and password needed (http://USER:PASSWORD@HOST:PORT)?";
        has(&through(&proxy, ""), &[&cause, remedy]);
    }
    // The proxy is not asked, so it is not the proxy.
    let found = through("127.0.0.1:1", "other.example, registry.invalid");
    assert!(found.contains("; is the host's name right?") && !found.contains("proxy"), "{found}");
}
