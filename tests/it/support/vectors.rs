//! The kubelet's vectors, for the tests that hand them to the program.

use serde_json::Value;

/// The vectors of a file of `tests/conformance/`.
pub(crate) fn vectors(file: &str) -> Vec<Value> {
    let path = format!("{}/tests/conformance/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the vectors are there");
    text.lines().map(|line| serde_json::from_str(line).expect("a vector is JSON")).collect()
}
