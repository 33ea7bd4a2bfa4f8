//! Meson: options for tests, and its own list of tests.

use super::super::Saw;
use super::super::calls::calls;
use super::super::jobs::JobDraft;
use super::{
    Group, System, build_directory, generators, is_about_documentation, is_about_sanitizers, is_about_tests, lowest,
    own_texts,
};
use crate::tree::Tree;

pub(super) fn find(tree: &Tree) -> Option<Group> {
    let top = tree.text("meson.build")?;
    let project = calls(&top, "project").into_iter().next()?;
    let texts = own_texts(tree, "meson.build");
    let tests = texts.iter().find_map(|(path, text)| {
        let call = calls(text, "test").into_iter().next()?;
        Some(Saw::line(path, call.line, &format!("test({})", call.inside)))
    });
    let build = build_directory(tree);
    let mut run: Vec<String> = ["meson", "setup", build.as_str()].iter().map(|word| (*word).to_owned()).collect();
    let mut comments = Vec::new();
    let mut for_release = Vec::new();
    if let Some(path) = tree.first(&["meson.options", "meson_options.txt"]) {
        for call in calls(&tree.text(path).unwrap_or_default(), "option") {
            let Some(name) = call.first_quoted() else { continue };
            let value = call.keyword("value").unwrap_or_default();
            let saw = Saw::line(path, call.line, &format!("option({})", call.inside));
            let is_for_tests =
                tests.is_some() && is_about_tests(name, &call.keyword("description").unwrap_or_default());
            let (wanted, why) = match value.as_str() {
                "false" if is_for_tests => ("true", "so tests are switched on"),
                "disabled" if is_for_tests => ("enabled", "so tests are switched on"),
                "true" if is_about_sanitizers(name) => ("false", "and a sanitizer cannot run under valgrind"),
                "true" if is_about_documentation(name) => ("false", "and no test needs documentation"),
                "enabled" if is_about_documentation(name) => ("disabled", "and no test needs documentation"),
                _ => continue,
            };
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
                comments.push(format!("saw {saw}, {why}"));
                let word = format!("-D{name}={wanted}");
                for_release.extend(is_about_documentation(name).then(|| word.clone()));
                run.push(word);
            }
        }
    }
    if let Some(kind) =
        ["buildtype=release", "buildtype=minsize"].into_iter().find(|kind| project.inside.contains(kind))
    {
        comments.push(format!(
            "saw `{kind}` in the defaults of meson.build; with debug information, valgrind quotes lines"
        ));
        run.push("-Dbuildtype=debugoptimized".to_owned());
    }
    if project.inside.contains("b_sanitize=") {
        comments
            .push("saw `b_sanitize` in the defaults of meson.build: a sanitizer cannot run under valgrind".to_owned());
        run.push("-Db_sanitize=none".to_owned());
    }
    let because = Saw::line("meson.build", project.line, &format!("project({})", project.inside)).to_string();
    let mut configure = JobDraft::command("configure", run).because(format!("saw {because}"));
    configure.comments.extend(comments);
    let mut jobs = vec![
        configure,
        JobDraft::command("build", ["meson", "compile", "-C", build.as_str(), "-j", "{jobs}"])
            .after(&["configure"])
            .within("1h"),
    ];
    if let Some(tests) = &tests {
        let suite = JobDraft::suite("suite", "meson", &build, &["build"]).checked();
        jobs.push(suite.because(format!("saw {tests}: Meson lists the tests when they are built, and each is a job")));
    }
    Some(Group {
        system: System::Meson,
        because,
        jobs,
        has_tests: tests.is_some(),
        programs: [("meson", "meson"), ("ninja", "ninja-build"), ("gcc", "gcc")]
            .into_iter()
            .chain(generators::of_meson(&texts))
            .collect(),
        least: project.keyword("meson_version").and_then(|least| Some(("meson", lowest(&least)?))),
        directory: String::new(),
        build_release: vec![
            ["meson", "setup", &build].map(str::to_owned).into_iter().chain(for_release).collect(),
            ["meson", "compile", "-C", &build].map(str::to_owned).to_vec(),
        ],
    })
}
