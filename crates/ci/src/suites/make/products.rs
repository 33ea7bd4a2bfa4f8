//! Which lines of recipes only build something: their targets are no tests.

/// Programs that only compile, link, generate, copy or remove.
const BUILDERS: [&str; 41] = [
    "ar", "as", "bison", "c++", "c89", "c99", "cc", "chmod", "clang", "clang++", "cp", "f77", "f95", "flex", "flex++",
    "g++", "gcc", "gfortran", "install", "javac", "ld", "ld.gold", "ld.lld", "lex", "ln", "m4", "mkdir", "mv", "nasm",
    "nm", "objcopy", "protoc", "ranlib", "rm", "rustc", "strip", "tcc", "touch", "windres", "yacc", "yasm",
];
/// Programs that start another one.
const WRAPPERS: [&str; 7] = ["ccache", "distcc", "env", "nice", "sccache", "sh", "time"];
/// Commands that neither build nor test.
const NEUTRAL: [&str; 6] = ["cd", "echo", "printf", "set", "true", ":"];
/// What libtool does to build; it can also start a program.
const LIBTOOL_MODES: [&str; 4] = ["--mode=compile", "--mode=link", "--mode=install", "--mode=finish"];

/// True if all commands of the lines only build something. Whatever is not certain is none of them, as a test must not be taken for
/// a product: a product that is taken for a test is only made.
pub(super) fn only_builds(lines: &[String]) -> bool {
    let mut builds = false;
    let text = lines.join("\n").replace("\\\n", " ");
    for command in text.split(['\n', ';', '|', '&']) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let is_assignment = |word: &&&str| {
            word.split_once('=')
                .is_some_and(|(name, _)| !name.is_empty() && !name.contains(['/', '-', '"', '\'', '$', '.']))
        };
        let after_variables = words.iter().take_while(is_assignment).count();
        let mut words = words[after_variables..].iter();
        let name = words.by_ref().map(|word| base(word)).find(|name| !WRAPPERS.contains(name));
        match name {
            None | Some("") => {}
            Some("libtool") if words.any(|word| LIBTOOL_MODES.contains(word)) => builds = true,
            Some(name) if is_builder(name) => builds = true,
            Some(name) if NEUTRAL.contains(&name) => {}
            Some(_) => return false,
        }
    }
    builds
}

/// The name of a program without its directory.
fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// True for a builder, also with a version (`gcc-12`) or for another machine (`x86_64-linux-gnu-gcc`).
fn is_builder(name: &str) -> bool {
    let is_version = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let name = name.rsplit_once('-').filter(|(_, version)| is_version(version)).map_or(name, |(name, _)| name);
    BUILDERS.contains(&name) || name.rsplit_once('-').is_some_and(|(_, name)| BUILDERS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_are_known_and_nothing_else_is_one() {
        for (lines, expected) in [
            (&["cc -o a a.c"][..], true),
            (&["mkdir -p out", "x86_64-linux-gnu-gcc-12 -c a.c \\\n -o out/a.o"], true),
            (&["ccache /usr/bin/gcc $(pkg-config --cflags x) -o a a.c && strip a"], true),
            (&["/bin/sh ./libtool --tag=CC --mode=link gcc -o a a.o"], true),
            (&["CC_FLAGS=-O2 cc -o a a.c; echo done"], true),
            (&["cc -o a a.c && ./a"], false),
            (&["cc -o a a.c", "./a -o a"], false),
            (&["./gen -o out/a"], false),
            (&["sh ./libtool --mode=execute valgrind ./a"], false),
            (&["diff a b"], false),
            (&["sh t.sh"], false),
            (&["echo all passed"], false),
            (&["./cc -o x", "x-cc-test"], false),
            (&["LD_PRELOAD=./cc ./a"], false),
            (&[], false),
        ] {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            assert_eq!(only_builds(&lines), expected, "{lines:?}");
        }
    }
}
