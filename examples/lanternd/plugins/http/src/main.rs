//! A lanternd plugin which serves the daemon's status over HTTP.
//!
//! It speaks JSON lines with the daemon on its standard input and output, and
//! listens on a free port of 127.0.0.1 between `http-start` and `http-stop`.

mod server;
mod status;

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use tinyjson::JsonValue;

use server::Server;
use status::Status;

const METHODS: [&str; 3] = ["http-start", "http-stop", "http-status"];

/// JSON-RPC's code for a method that does not exist.
const UNKNOWN_METHOD: f64 = -32601.0;
const FAILED: f64 = 1.0;

struct Plugin {
    status: Arc<Mutex<Status>>,
    server: Option<Server>,
}

type Answer = Result<JsonValue, (f64, String)>;

fn object<const N: usize>(members: [(&str, JsonValue); N]) -> JsonValue {
    let members = members.into_iter().map(|(key, value)| (key.to_owned(), value));
    JsonValue::Object(members.collect::<HashMap<_, _>>())
}

fn string(text: &str) -> JsonValue {
    JsonValue::String(text.to_owned())
}

fn number(value: u64) -> JsonValue {
    JsonValue::Number(value as f64)
}

/// The member `key`, if `value` is an object that has it.
fn member<'a>(value: &'a JsonValue, key: &str) -> Option<&'a JsonValue> {
    value.get::<HashMap<String, JsonValue>>()?.get(key)
}

fn hello() -> JsonValue {
    object([
        ("name", string("http")),
        ("version", string(env!("CARGO_PKG_VERSION"))),
        ("methods", JsonValue::Array(METHODS.iter().map(|name| string(name)).collect())),
        ("status", JsonValue::Boolean(true)),
    ])
}

impl Plugin {
    fn call(&mut self, method: &str) -> Answer {
        match method {
            "hello" => Ok(hello()),
            "http-start" => self.start(),
            "http-stop" => Ok(self.stop()),
            "http-status" => Ok(self.describe()),
            _ => Err((UNKNOWN_METHOD, "there is no such method".to_owned())),
        }
    }

    fn start(&mut self) -> Answer {
        if self.server.is_none() {
            let server = Server::start(Arc::clone(&self.status))
                .map_err(|e| (FAILED, format!("cannot listen on 127.0.0.1: {}", e)))?;
            self.server = Some(server);
        }
        Ok(self.describe())
    }

    fn stop(&mut self) -> JsonValue {
        let was_running = self.server.take().map(Server::stop).is_some();
        object([("stopped", JsonValue::Boolean(was_running))])
    }

    fn describe(&self) -> JsonValue {
        let requests = number(status::lock(&self.status).requests);
        match &self.server {
            Some(server) => object([
                ("running", JsonValue::Boolean(true)),
                ("port", number(server.port().into())),
                ("requests", requests),
            ]),
            None => object([("running", JsonValue::Boolean(false)), ("requests", requests)]),
        }
    }

    /// The answer to one line; `None` for a notification. `Err` if it is not a request.
    fn handle(&mut self, line: &str) -> Result<Option<JsonValue>, String> {
        let request: JsonValue = line.parse().map_err(|e| format!("bad JSON: {}", e))?;
        let method = member(&request, "method")
            .and_then(|method| method.get::<String>())
            .ok_or("a request without a method")?;
        let id = match member(&request, "id") {
            Some(id) => id.clone(),
            None => {
                if let ("status", Some(params)) = (method.as_str(), member(&request, "params")) {
                    status::lock(&self.status).update(params);
                }
                return Ok(None);
            }
        };
        Ok(Some(match self.call(method) {
            Ok(result) => object([("id", id), ("result", result)]),
            Err((code, message)) => {
                let error = object([
                    ("code", JsonValue::Number(code)),
                    ("message", JsonValue::String(message)),
                ]);
                object([("id", id), ("error", error)])
            }
        }))
    }
}

fn serve(plugin: &mut Plugin) -> Result<(), String> {
    let mut out = io::stdout();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|e| format!("cannot read: {}", e))?;
        if let Some(answer) = plugin.handle(&line)? {
            let text = answer.stringify().map_err(|e| format!("cannot answer: {}", e))?;
            writeln!(out, "{}", text)
                .and_then(|()| out.flush())
                .map_err(|e| format!("cannot write: {}", e))?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut plugin = Plugin { status: Arc::default(), server: None };
    let result = serve(&mut plugin);
    plugin.stop();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("lantern-http: {}", message);
            ExitCode::FAILURE
        }
    }
}
