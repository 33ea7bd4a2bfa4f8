//! Cargo: the test programs that `cargo test --no-run` builds, and the tests that each of them lists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Context, ListError, malformed, nextest, words};
use drydock_base::exec;
use drydock_config::jobs::{ListedTest, Protocol, TestRules};

/// A message of Cargo (Cargo book, "External tools").
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
    #[serde(default)]
    linked_paths: Vec<String>,
    out_dir: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
    #[serde(default)]
    doctest: bool,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let directory = context.built()?;
    if !directory.join("Cargo.toml").is_file() {
        return Err(ListError::Missing(PathBuf::from(&context.source.at).join("Cargo.toml")));
    }
    let mut argv = words(&["cargo", "test", "--no-run", "--message-format=json"]);
    argv.extend(context.source.args.iter().cloned());
    let text = context.read(&argv, &directory, &[])?;
    let mut messages = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let message: Message = serde_json::from_str(line).map_err(|error| malformed(&argv, error))?;
        messages.push(message);
    }
    let sysroot = context.read(&words(&["rustc", "--print", "sysroot"]), &directory, &[]).unwrap_or_default();
    let built =
        |message: &&Message| message.reason == "compiler-artifact" && message.profile.as_ref().is_some_and(|p| p.test);
    let left_out = nextest::left_out(context, &directory)?;
    let mut tests = Vec::new();
    let mut libraries: Vec<(String, String)> = Vec::new();
    for message in messages.iter().filter(built) {
        let (Some(target), Some(program)) = (&message.target, &message.executable) else { continue };
        let package = Package::new(message);
        let kind = target.kind.first().map_or("", String::as_str);
        let name = match kind {
            "bin" | "test" | "bench" | "example" => format!("{}/{kind}-{}", package.name, target.name),
            _ => format!("{}/lib", package.name),
        };
        if target.doctest {
            libraries.push((package.name.clone(), package.spec.clone()));
        }
        let env = environment(context, message, &package, &messages, sysroot.trim());
        let mut own = of_program(context, &name, program, &package, &env)?;
        for test in &mut own {
            let short = test.argv.last().cloned().unwrap_or_default();
            if left_out.contains(&(program.clone(), short)) {
                test.disabled = Some("the default-filter of nextest leaves it out".to_owned());
            }
        }
        tests.extend(own);
    }
    if context.source.args.iter().any(|arg| chooses_programs(arg)) {
        libraries.clear();
    }
    for (name, spec) in libraries {
        tests.extend(documentation(context, &directory, &name, &spec)?);
    }
    Ok(tests)
}

/// The package of a target.
struct Package {
    name: String,
    version: String,
    /// As `cargo test -p` takes it.
    spec: String,
    directory: PathBuf,
}

impl Package {
    /// Splits `path+file:///work/x#name@1.0.0`, or `…/name#1.0.0`.
    fn new(message: &Message) -> Package {
        let (url, fragment) = message.package_id.rsplit_once('#').unwrap_or((&message.package_id, ""));
        let last = url.rsplit('/').next().unwrap_or_default();
        let (name, version) = fragment.split_once('@').unwrap_or((last, fragment));
        let directory = message.manifest_path.parent().map(Path::to_owned).unwrap_or_default();
        Package { name: name.into(), version: version.into(), spec: message.package_id.clone(), directory }
    }
}

/// The variables that `cargo test` sets for a test program.
fn environment(
    context: &Context<'_>,
    message: &Message,
    package: &Package,
    messages: &[Message],
    sysroot: &str,
) -> BTreeMap<String, String> {
    let mut parts = package.version.split(['.', '-', '+']);
    let mut part = || parts.next().unwrap_or_default().to_owned();
    let mut env = BTreeMap::from([
        ("CARGO_MANIFEST_DIR".to_owned(), package.directory.display().to_string()),
        ("CARGO_MANIFEST_PATH".to_owned(), message.manifest_path.display().to_string()),
        ("CARGO_PKG_NAME".to_owned(), package.name.clone()),
        ("CARGO_PKG_VERSION".to_owned(), package.version.clone()),
        ("CARGO_PKG_VERSION_MAJOR".to_owned(), part()),
        ("CARGO_PKG_VERSION_MINOR".to_owned(), part()),
        ("CARGO_PKG_VERSION_PATCH".to_owned(), part()),
    ]);
    // One test a process: the program's own threads would only wait.
    env.insert("RUST_TEST_THREADS".to_owned(), "1".to_owned());
    let mut search: Vec<String> = Vec::new();
    for script in messages.iter().filter(|other| other.reason == "build-script-executed") {
        search.extend(
            script.linked_paths.iter().map(|path| path.split_once('=').map_or(path.as_str(), |(_, p)| p).to_owned()),
        );
        if script.package_id == message.package_id {
            env.extend(script.out_dir.iter().map(|directory| ("OUT_DIR".to_owned(), directory.clone())));
        }
    }
    if let Some(deps) = message.executable.as_deref().and_then(Path::parent) {
        search.push(deps.display().to_string());
        search.extend(deps.parent().map(|debug| debug.display().to_string()));
    }
    if !sysroot.is_empty() {
        search.push(format!("{sysroot}/lib"));
    }
    search.extend(context.variable("LD_LIBRARY_PATH"));
    env.insert("LD_LIBRARY_PATH".to_owned(), search.join(":"));
    env
}

/// The tests of one program. One that cannot list them has a harness of its own, and is one test.
fn of_program(
    context: &Context<'_>,
    name: &str,
    program: &Path,
    package: &Package,
    env: &BTreeMap<String, String>,
) -> Result<Vec<ListedTest>, ListError> {
    let shown = program.display().to_string();
    let mut argv = words(&["--list", "--format", "terse"]);
    argv.insert(0, shown.clone());
    let more: Vec<(&str, String)> = env.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let whole = || ListedTest {
        name: name.to_owned(),
        argv: vec![shown.clone()],
        directory: package.directory.display().to_string(),
        env: env.clone(),
        ..ListedTest::default()
    };
    let text = match context.read(&argv, &package.directory, &more) {
        Ok(text) => text,
        Err(ListError::Command(exec::Error::Exit { .. })) => return Ok(vec![whole()]),
        Err(error) => return Err(error),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let listed: Vec<&str> = lines.iter().filter_map(|line| line.strip_suffix(": test")).collect();
    if listed.is_empty() && lines.iter().any(|line| !line.ends_with(": benchmark")) {
        return Ok(vec![whole()]);
    }
    let one = |test: &str| ListedTest {
        name: format!("{name}/{test}"),
        argv: vec![shown.clone(), "--exact".into(), test.to_owned()],
        rules: TestRules { protocol: Protocol::Libtest, ..TestRules::default() },
        ..whole()
    };
    Ok(listed.into_iter().map(one).collect())
}

/// Whether Cargo leaves documentation tests out for this argument, and would not take it beside `--doc`.
fn chooses_programs(arg: &str) -> bool {
    let options = ["--lib", "--bins", "--bin", "--tests", "--test", "--benches", "--bench", "--examples", "--example"];
    let name = arg.split('=').next().unwrap_or_default();
    options.contains(&name) || name == "--all-targets"
}

/// The documentation tests of a library are one job: rustdoc builds and runs them together.
fn documentation(
    context: &Context<'_>,
    directory: &Path,
    name: &str,
    spec: &str,
) -> Result<Option<ListedTest>, ListError> {
    let mut argv = words(&["cargo", "test", "--doc", "-p", spec]);
    argv.extend(context.source.args.iter().filter(|arg| !matches!(arg.as_str(), "--workspace" | "--all")).cloned());
    let list = [argv.clone(), words(&["--", "--list", "--format", "terse"])].concat();
    let text = context.read(&list, directory, &[])?;
    if !text.lines().any(|line| line.ends_with(": test")) {
        return Ok(None);
    }
    Ok(Some(ListedTest {
        name: format!("{name}/doc"),
        argv,
        directory: directory.display().to_string(),
        native: Some("rustdoc builds and runs documentation tests, so valgrind would check rustdoc".to_owned()),
        ..ListedTest::default()
    }))
}
