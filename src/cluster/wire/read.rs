//! Reading a shape, with errors that tell the field and what was expected, and never a value: values of Secrets must not
//! reach a report, and serde's own messages quote what they find.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_path_to_error::{Path, Segment};

/// A field that has not the type that Kubernetes gives it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {expected}")]
pub(in crate::cluster) struct ShapeError {
    path: String,
    expected: String,
}

impl ShapeError {
    /// An error of our own about a field.
    pub(in crate::cluster) fn new(path: &str, expected: &str) -> Self {
        Self { path: path.to_owned(), expected: expected.to_owned() }
    }
}

/// Read a shape from JSON text that is known to be well-formed.
pub(in crate::cluster) fn read_json<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Result<T, ShapeError> {
    // The plain reader is the fast one; where it fails, the object is read once more to learn the path.
    serde_json::from_str(json.get()).or_else(|_| {
        let mut reader = serde_json::Deserializer::from_str(json.get());
        serde_path_to_error::deserialize(&mut reader).map_err(|error| shape_error(&error))
    })
}

/// Read a shape from a parsed tree.
pub(in crate::cluster) fn read_tree<'a, T: Deserialize<'a>>(tree: &'a serde_json::Value) -> Result<T, ShapeError> {
    serde_path_to_error::deserialize(tree).map_err(|error| shape_error(&error))
}

fn shape_error(error: &serde_path_to_error::Error<serde_json::Error>) -> ShapeError {
    ShapeError { path: PathText(error.path()).to_string(), expected: without_value(&error.inner().to_string()) }
}

/// serde writes `invalid type: FOUND, expected EXPECTED at line ...`. `EXPECTED` comes from our own shapes, `FOUND` can
/// quote the document, so only what follows the last `expected` is kept.
fn without_value(message: &str) -> String {
    let message = match message.rsplit_once(" at line ") {
        // The document itself can hold these words, so only a true position is cut off.
        Some((head, tail)) if tail.split(" column ").all(|number| number.parse::<usize>().is_ok()) => head,
        _ => message,
    };
    if let Some((_, expected)) = message.rsplit_once("expected ") {
        let expected = expected.strip_prefix("struct ").map_or(expected, |_| "a map");
        return format!("expected {expected}");
    }
    if message.starts_with("duplicate field") {
        return "is written more than once".to_owned();
    }
    "has not the shape that Kubernetes gives it".to_owned()
}

struct PathText<'a>(&'a Path);

impl fmt::Display for PathText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for segment in self.0 {
            match segment {
                Segment::Seq { index } => write!(f, "[{index}]")?,
                Segment::Map { key } | Segment::Enum { variant: key } => {
                    let plain = key.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
                    match (plain, first) {
                        (true, true) => f.write_str(key)?,
                        (true, false) => write!(f, ".{key}")?,
                        (false, _) => write!(f, "[{key:?}]")?,
                    }
                }
                Segment::Unknown => f.write_str(".?")?,
            }
            first = false;
        }
        if first { f.write_str("the object") } else { Ok(()) }
    }
}
