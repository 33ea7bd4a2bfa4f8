//! What the daemon told about itself, and how it is shown.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tinyjson::JsonValue;

#[derive(Default)]
pub struct Status {
    version: String,
    lamps: u64,
    lit: u64,
    /// HTTP requests answered.
    pub requests: u64,
}

/// A panic of another thread leaves the numbers usable.
pub fn lock(status: &Mutex<Status>) -> MutexGuard<'_, Status> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(params: &JsonValue, key: &str) -> Option<u64> {
    crate::member(params, key)?.get::<f64>().map(|value| *value as u64)
}

impl Status {
    /// Takes over what `params` mention.
    pub fn update(&mut self, params: &JsonValue) {
        if let Some(version) = crate::member(params, "version").and_then(|v| v.get::<String>()) {
            self.version = version.clone();
        }
        self.lamps = count(params, "lamps").unwrap_or(self.lamps);
        self.lit = count(params, "lit").unwrap_or(self.lit);
    }

    /// One line of JSON, with its keys in a fixed order.
    pub fn to_json(&self) -> String {
        let version = JsonValue::String(self.version.clone());
        format!(
            "{{\"version\":{},\"lamps\":{},\"lit\":{},\"requests\":{}}}\n",
            version.stringify().unwrap_or_else(|_| "null".to_owned()),
            self.lamps,
            self.lit,
            self.requests
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn shows_what_it_was_told() {
        let mut status = Status::default();
        status.update(&"{\"version\":\"1.2\",\"lamps\":3,\"lit\":1}".parse().unwrap());
        status.update(&"{\"lit\":2}".parse().unwrap());
        assert_eq!(
            status.to_json(),
            "{\"version\":\"1.2\",\"lamps\":3,\"lit\":2,\"requests\":0}\n"
        );
    }
}
