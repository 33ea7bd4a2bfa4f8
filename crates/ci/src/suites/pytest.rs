//! pytest: its collection, written by a plugin (pytest, "Writing hook functions": `pytest_collection_finish`).

use std::time::Duration;

use serde::Deserialize;

use super::{Context, ListError, VENV, malformed, words};
use drydock_base::exec;
use drydock_config::jobs::{ListedTest, Protocol, TestRules};

/// The plugin, a module of this name in a directory of its own.
const MODULE: &str = "drydock_pytest_list";
const PLUGIN: &str = r#"
import json, os

# pytest has not yet begun to capture what tests print.
stderr = os.dup(2)
broken = []

def pytest_collectreport(report):
    if report.failed:
        said = str(report.longrepr).strip().splitlines()
        errors = [line[1:].strip() for line in said if line.startswith('E ')]
        broken.append('%s: %s' % (report.nodeid, (errors or said[-1:] or ['cannot be collected'])[0]))

# Python and pytest may have warned of other things before.
def pytest_unconfigure(config):
    for line in broken[:3]:
        os.write(stderr, (line + '\n').encode('utf-8', 'replace'))

# The limit of tests without a mark, as pytest-timeout finds it (its `get_env_settings`): its option, its variable, its setting.
def usual_limit(config):
    if not config.pluginmanager.hasplugin('timeout'):
        return None
    for value in (config.getoption('timeout', None), os.environ.get('PYTEST_TIMEOUT'), config.getini('timeout')):
        if value not in (None, ''):
            return float(value)

def pytest_collection_finish(session):
    usual = usual_limit(session.config)
    start = str(session.config.invocation_params.dir)
    out = []
    for item in session.items:
        name, *rest = item.nodeid.split('::', 1)
        # The name is relative to pytest's root. The path of an item may be that of a file of data, which pytest does not take.
        path = os.path.join(str(session.config.rootdir), name)
        if not os.path.exists(path):
            path = getattr(item, 'path', None) or item.fspath
        timeout = item.get_closest_marker('timeout')
        seconds = None
        if timeout:
            seconds = timeout.args[0] if timeout.args else timeout.kwargs.get('timeout')
        group = item.get_closest_marker('xdist_group')
        locks = []
        if group:
            locks = [str(group.args[0] if group.args else group.kwargs.get('name', 'default'))]
        out.append({
            'id': '::'.join([os.path.relpath(str(path), start)] + rest),
            'labels': sorted({mark.name for mark in item.iter_markers()}),
            'timeout': seconds if isinstance(seconds, (int, float)) else usual,
            'locks': locks,
        })
    with open(os.environ['DRYDOCK_PYTEST_LIST'], 'w') as file:
        json.dump(out, file)
"#;

/// Marks that pytest itself evaluates.
const BUILT_IN: [&str; 7] = ["parametrize", "skip", "skipif", "xfail", "usefixtures", "filterwarnings", "xdist_group"];

#[derive(Deserialize)]
struct Item {
    id: String,
    labels: Vec<String>,
    timeout: Option<f64>,
    locks: Vec<String>,
}

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let at = context.at();
    if !at.exists() {
        return Err(ListError::Missing(at));
    }
    let scratch = tempfile::tempdir().map_err(|error| ListError::File { path: std::env::temp_dir(), error })?;
    let file = scratch.path().join("list.json");
    let plugin = scratch.path().join(format!("{MODULE}.py"));
    std::fs::write(&plugin, PLUGIN).map_err(|error| ListError::File { path: plugin, error })?;
    let activated = context.activated("pytest");
    let program = if activated.is_empty() { program(context) } else { format!("{VENV}/bin/pytest") };
    let mut argv = words(&[&program, "--collect-only", "-q", "-p", MODULE]);
    argv.extend(context.source.args.iter().cloned());
    argv.push(at.display().to_string());
    let modules = [Some(scratch.path().display().to_string()), context.variable("PYTHONPATH")];
    let modules: Vec<String> = modules.into_iter().flatten().collect();
    let mut more = vec![
        ("PYTHONPATH", modules.join(":")),
        ("DRYDOCK_PYTEST_LIST", file.display().to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ];
    more.extend(activated.iter().map(|(name, value)| (*name, value.clone())));
    match context.read(&argv, &context.directory, &more) {
        // Nothing was collected.
        Err(ListError::Command(error)) if error.exit_code() == Some(5) => return Ok(Vec::new()),
        other => other?,
    };
    let bytes = std::fs::read(&file).map_err(|error| ListError::File { path: file, error })?;
    let items: Vec<Item> = serde_json::from_slice(&bytes).map_err(|error| malformed(&argv, error))?;
    Ok(items.into_iter().map(|item| one(context, &program, &activated, item)).collect())
}

/// pytest by the name that it has here.
fn program(context: &Context<'_>) -> String {
    let search = context.variable("PATH").map(std::ffi::OsString::from);
    let found = |name: &&str| exec::find(name, &context.directory, search.as_ref()).is_ok();
    ["pytest", "pytest-3", "py.test"].into_iter().find(found).unwrap_or("pytest").to_owned()
}

fn one(context: &Context<'_>, program: &str, activated: &[(&'static str, String)], item: Item) -> ListedTest {
    let mut argv = words(&[program]);
    argv.extend(context.source.args.iter().cloned());
    argv.push(item.id.clone());
    ListedTest {
        name: item.id,
        argv,
        directory: context.directory.display().to_string(),
        env: activated.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        timeout: item.timeout.filter(|seconds| *seconds > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok()),
        labels: item.labels.into_iter().filter(|label| !BUILT_IN.contains(&label.as_str())).collect(),
        locks: item.locks,
        rules: TestRules { protocol: Protocol::Pytest, ..TestRules::default() },
        ..ListedTest::default()
    }
}
