//! Drydock with a mutation of its writer, for tests of the proofs. The mutation is named at the end of the executable, so that it
//! is part of every copy: `printf 'mutation=umask' >>mutated`.

use drydock_archive::mutation::Mutation;

fn main() -> std::process::ExitCode {
    let program = std::fs::read("/proc/self/exe").unwrap_or_default();
    let end = &program[program.len().saturating_sub(64)..];
    let name = String::from_utf8_lossy(end).rsplit_once("mutation=").map(|(_, name)| name.to_owned());
    if let Some(name) = name {
        match Mutation::ALL.iter().find(|(known, _)| *known == name) {
            Some((_, mutation)) => mutation.install(),
            None => return std::process::ExitCode::from(101),
        }
    }
    drydock::main()
}
