//! Credential helpers: `docker-credential-NAME get`, with the server's name on its standard input.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{Login, Secret};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_http::printable;

/// The time limit of a helper; the user may have to unlock a key.
const LONGEST: Duration = Duration::from_secs(120);

/// The prefixes of the variables that helpers need.
const PASSED: [&str; 10] =
    ["AWS_", "AZURE_", "CLOUDSDK_", "DBUS_", "DISPLAY", "DOCKER_", "GNUPGHOME", "GOOGLE_", "PASSWORD_STORE_", "XDG_"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    username: String,
    secret: String,
}

/// Asks a helper for the credentials of a server; none if it has none. So it is with a warning if the helper is not installed:
/// docker then goes on without a login, which is all that public images need.
pub(super) fn get(
    name: &str,
    server: &str,
    file: &Path,
    variables: &BTreeMap<OsString, OsString>,
) -> anyhow::Result<Option<Login>> {
    let wrong = |what: String| {
        let file = file.display();
        Failure::missing(format!("the credential helper `{}` of {file} {what}", printable(name)))
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Err(wrong("has an invalid name".to_owned()));
    }
    let program = format!("docker-credential-{name}");
    let path = match exec::find(&program, Path::new("/"), variables.get(OsStr::new("PATH"))) {
        Ok(path) => path,
        Err(exec::Error::NotFound { .. }) => {
            let why = wrong(format!("is not installed: there is no `{program}` in PATH"));
            output::err(format_args!("warning: {why}; going on without a login at {}", printable(server)));
            return Ok(None);
        }
        Err(why) => return Err(wrong(format!("cannot be run: {why}"))),
    };
    let passes = |name: &OsStr| name.to_str().is_some_and(|name| PASSED.iter().any(|start| name.starts_with(start)));
    let mut environment = exec::environment(&[], &BTreeMap::new());
    for (variable, value) in variables {
        if passes(variable) || environment.contains_key(variable) && variable != "LC_ALL" && variable != "TZ" {
            environment.insert(variable.clone(), value.clone());
        }
    }
    let started = duct::cmd(path, ["get"])
        .full_env(environment)
        .dir("/")
        .stdin_bytes(server)
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .start()
        .map_err(|error| wrong(format!("cannot be run: {}", exec::plain(&error))))?;
    let output = match started.wait_timeout(LONGEST) {
        Ok(Some(output)) => output,
        Ok(None) => {
            // It may have just finished.
            started.kill().ok();
            return Err(wrong(format!("did not answer within {} s", LONGEST.as_secs())));
        }
        Err(error) => return Err(wrong(format!("cannot be waited for: {}", exec::plain(&error)))),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        // All helpers print these words if they have no credentials for the server.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let end = exec::end_of(if output.stdout.is_empty() { &output.stderr } else { &output.stdout });
        return Err(wrong(format!("failed for {server}: {}", printable(&end))));
    }
    let answer: Response = serde_json::from_slice(&output.stdout)
        .map_err(|_| wrong(format!("returned an invalid response for {server}")))?;
    let secret = match answer.username.as_str() {
        "<token>" => Secret::Identity(answer.secret),
        _ => Secret::Basic { user: answer.username, password: answer.secret },
    };
    Ok(Some(Login { secret, source: program }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn helpers_get_the_server_on_standard_input() {
        let directory = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\nread server || true\ncase \"$1 $server\" in\n\
            'get a.example') echo '{\"ServerURL\":\"a\",\"Username\":\"u\",\"Secret\":\"'$PASSWORD_STORE_DIR'\"}';;\n\
            'get t.example') echo '{\"ServerURL\":\"a\",\"Username\":\"<token>\",\"Secret\":\"s\"}';;\n\
            'get b.example') echo 'credentials not found in native keychain'; exit 1;;\n\
            'get c.example') echo 'the agent is locked' >&2; exit 1;;\n\
            *) echo nonsense;; esac\n";
        let program = directory.path().join("docker-credential-mine");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/bin:/usr/bin", directory.path().display());
        let variables =
            BTreeMap::from([("PATH".into(), path.into()), ("PASSWORD_STORE_DIR".into(), OsString::from("passed"))]);
        let ask = |name: &str, server: &str| get(name, server, Path::new("FILE"), &variables);
        let login = ask("mine", "a.example").unwrap().unwrap();
        assert!(login.secret == Secret::Basic { user: "u".into(), password: "passed".into() });
        assert_eq!(login.source(), "docker-credential-mine");
        assert!(ask("mine", "t.example").unwrap().unwrap().secret == Secret::Identity("s".into()));
        assert_eq!(ask("mine", "b.example").unwrap(), None);
        assert_eq!(ask("missing", "a.example").unwrap(), None);
        for (name, server, words) in [
            ("mine", "c.example", "failed for c.example: the agent is locked"),
            ("mine", "d.example", "returned an invalid response for d.example"),
            ("../mine", "a.example", "has an invalid name"),
        ] {
            let error = ask(name, server).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("FILE"), "{error}");
        }
    }
}
