//! A token, which is never shown.

use std::ffi::OsString;
use std::fmt;

/// A token for GitHub's API.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The variables that hold it, in the order in which GitHub's own program reads them.
const VARIABLES: [&str; 2] = ["GH_TOKEN", "GITHUB_TOKEN"];

impl Token {
    /// The token of the environment: `GH_TOKEN`, else `GITHUB_TOKEN`. White space around it is dropped.
    pub fn new(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Token> {
        let found = VARIABLES.iter().filter_map(|name| variable(name)?.into_string().ok());
        found.map(|token| token.trim().to_owned()).find(|token| !token.is_empty()).map(Token)
    }

    /// The value of the header `authorization`.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
