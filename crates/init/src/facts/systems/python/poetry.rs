//! The groups of dependencies that Poetry declares, as pip takes them.

/// The packages of the first of these groups that exists, with its name; in manifests of Poetry 1.1, `dev` has a table of its own.
pub(super) fn group<'n>(manifest: &toml::Table, names: &[&'n str]) -> Option<(&'n str, Vec<String>)> {
    let poetry = manifest.get("tool")?.get("poetry")?;
    names.iter().find_map(|name| {
        let group = poetry.get("group").and_then(|groups| groups.get(*name)?.get("dependencies"));
        let group = group.or_else(|| poetry.get("dev-dependencies").filter(|_| *name == "dev"))?.as_table()?;
        Some((*name, group.iter().filter_map(|(package, wanted)| requirement(package, wanted)).collect()))
    })
}

/// A dependency as pip takes it; none for one that has no version, such as a directory.
fn requirement(package: &str, wanted: &toml::Value) -> Option<String> {
    let (version, extras, markers, python) = match wanted {
        toml::Value::String(version) => (version.as_str(), String::new(), None, None),
        toml::Value::Table(table) => {
            let extras = table.get("extras").and_then(toml::Value::as_array).into_iter().flatten();
            let extras: Vec<&str> = extras.filter_map(toml::Value::as_str).collect();
            let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
            let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
            (text("version")?, extras, text("markers"), text("python"))
        }
        _ => return None,
    };
    if package == "python" {
        return None;
    }
    let mut text = format!("{package}{extras}{}", versions(version)?);
    let python = python.and_then(of_python);
    let markers: Vec<String> = markers.map(str::to_owned).into_iter().chain(python).collect();
    if !markers.is_empty() {
        text.push_str(&format!("; {}", markers.join(" and ")));
    }
    Some(text)
}

/// A constraint of Poetry, such as `^1.2`, as Python's packages write it (PEP 440); none for alternatives (`||`).
fn versions(constraint: &str) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for part in constraint.split(',').map(|part| part.trim().replace(' ', "")).filter(|part| part != "*") {
        let (sign, number) = part.split_at(part.find(|first: char| first.is_ascii_alphanumeric())?);
        if part.contains('|') {
            return None;
        }
        match sign {
            "" => all.push(format!("=={number}")),
            "^" | "~" => {
                let numbers: Vec<u64> = number.split('.').map_while(|digits| digits.parse().ok()).collect();
                // The number that has to stay: for `^`, the first that is not 0; for `~`, the second.
                let kept = match sign {
                    "^" => numbers.iter().position(|number| *number != 0).unwrap_or(numbers.len().saturating_sub(1)),
                    _ => numbers.len().saturating_sub(1).min(1),
                };
                let above: Vec<String> = numbers.iter().take(kept).map(u64::to_string).collect();
                let above = [above, vec![(numbers.get(kept)? + 1).to_string()]].concat().join(".");
                all.push(format!(">={number},<{above}"));
            }
            _ => all.push(format!("{sign}{number}")),
        }
    }
    Some(all.join(","))
}

/// A marker for the versions of Python that a dependency is for.
fn of_python(constraint: &str) -> Option<String> {
    let versions = versions(constraint)?;
    let markers = versions.split(',').map(|part| {
        let (sign, number) = part.split_at(part.find(|first: char| first.is_ascii_digit())?);
        Some(format!("python_version {sign} '{number}'"))
    });
    Some(markers.collect::<Option<Vec<String>>>()?.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_of_poetry_are_those_of_pip() {
        for (written, expected) in [
            ("'^1.2.3'", "x>=1.2.3,<2"),
            ("'^0.2'", "x>=0.2,<0.3"),
            ("'~1.2.3'", "x>=1.2.3,<1.3"),
            ("'~1'", "x>=1,<2"),
            ("'>=7, <9'", "x>=7,<9"),
            ("'*'", "x"),
            ("'1.0'", "x==1.0"),
            ("{ version = '>=1', extras = ['a', 'b'], python = '<3.11' }", "x[a,b]>=1; python_version < '3.11'"),
            ("{ version = '*', markers = \"os_name == 'nt'\" }", "x; os_name == 'nt'"),
        ] {
            let text = format!("[tool.poetry.group.test.dependencies]\nx = {written}\ny = {{ path = '../y' }}\n");
            let found = group(&text.parse().unwrap(), &["tests", "test"]);
            assert_eq!(found, Some(("test", vec![expected.to_owned()])), "{written}");
        }
        let old = "[tool.poetry.dev-dependencies]\npytest = '*'\n";
        assert_eq!(group(&old.parse().unwrap(), &["test", "dev"]), Some(("dev", vec!["pytest".to_owned()])));
    }
}
