//! Scripts of steps: expressions in them, and failures that they hide.

use drydock_config::diagnostic::Problem;

use super::Step;

/// An expression is replaced before the shell reads the script, so that its value is code.
pub(super) fn expressions(step: &Step<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let scripts = [step.text("run"), step.input("script").and_then(|_| step.text("uses"))];
    if let Some((script, place)) = scripts[0] {
        if script.contains("${{") {
            let problem = Problem::new(place, "an expression in a script: its value becomes a part of the program");
            problems.push(
                problem.help("give it to the step as `env: {NAME: ${{ … }}}`, and write \"$NAME\" in the script"),
            );
        }
    }
    if let (Some(script), Some((_, place))) = (step.input("script"), scripts[1]) {
        if script.contains("${{") {
            let problem =
                Problem::new(place, "an expression in a script of an action: its value becomes a part of the program");
            problems.push(problem.help("give it to the step as `env`, and read it from `process.env`"));
        }
    }
    problems
}

/// The shell of a step ends at the first command that fails, but not for commands inside of others.
pub(super) fn hidden_failures(step: &Step<'_>) -> Vec<Problem> {
    let Some((script, place)) = step.text("run") else { return Vec::new() };
    let shell = step.text("shell").map(|(shell, _)| shell);
    let mut problems = Vec::new();
    for line in script.lines().map(str::trim) {
        let echoes = line.starts_with("echo ") || line.starts_with("printf ");
        if echoes && line.contains("$(") && line.contains(">>") {
            let problem = Problem::new(
                place,
                format!("a failure inside of `{}` is hidden", drydock_base::text::one_line(line, 60)),
            );
            problems
                .push(problem.help("assign the output to a variable first: `value=$(command)` fails with the command"));
        }
    }
    // Without `shell: bash` the option pipefail is not set.
    let pipes = script.lines().map(str::trim).any(|line| {
        let quoted: String = line.split(['\'', '"']).step_by(2).collect();
        !line.starts_with('#') && quoted.replace("||", "").contains('|') && !quoted.contains("case ")
    });
    if pipes && shell != Some("bash") && !script.contains("pipefail") {
        let problem = Problem::new(place, "a failure of a command before `|` is hidden");
        problems.push(problem.help("write `shell: bash`, which sets pipefail, or use a file"));
    }
    problems
}
