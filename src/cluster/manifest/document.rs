//! From the bytes of one file to its top-level objects.

use serde_json::value::RawValue;

use super::Contents;
use super::docker::{self, NameTells};
use super::node::Node;
use super::object::Reader;
use super::yaml::{self, Chunk, SyntaxError};
use crate::cluster::Scope;
use crate::cluster::wire::Interner;

/// Where a text comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    /// As given, or `-`.
    pub(super) source: &'a str,
    /// Named by the user, rather than met in a folder: what is no Kubernetes object is then refused, not passed over.
    pub(super) named: bool,
}

/// Everything that a file holds within the scope.
pub(super) fn parse(origin: Origin<'_>, bytes: &[u8], scope: &Scope, interner: &Interner) -> Contents {
    std::thread::scope(|threads| {
        let thread = std::thread::Builder::new().name("manifest".to_owned()).stack_size(yaml::STACK_BYTES);
        match thread.spawn_scoped(threads, || parse_here(origin, bytes, scope, interner)) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let mut reader = Reader::new(origin, scope, interner);
                reader.unparsable(&format!("cannot start a thread to read it: {error}"));
                reader.finish()
            }
        }
    })
}

fn parse_here(origin: Origin<'_>, bytes: &[u8], scope: &Scope, interner: &Interner) -> Contents {
    let mut reader = Reader::new(origin, scope, interner);
    let docker = match docker::by_name(origin.source) {
        Some(NameTells::Likely) => (origin.named && !is_kubernetes(bytes)).then_some(false),
        Some(NameTells::DockerConfigJson) => Some(false),
        Some(NameTells::Dockercfg) => Some(true),
        None => None,
    };
    if let Some(legacy) = docker {
        // The bytes go on as they are: whether the kubelet can decode them is for another room to say, and its reader is
        // more forgiving than ours (it takes broken UTF-8, for one).
        reader.docker_config(bytes, legacy);
        let text = zeroize::Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
        if let Err(error) = serde_json::from_str::<&RawValue>(&text) {
            reader.unparsable(&json_error(&error, &Chunk { text: &text, line: 0 }, 0).to_string());
        }
        return reader.finish();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            for chunk in yaml::chunks(text) {
                document(&mut reader, chunk);
            }
        }
        Err(error) => {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            reader.unparsable(&format!("line {line}: is not text in UTF-8; save it as UTF-8"));
        }
    }
    reader.finish()
}

/// Whether a file called `config.json` is a Kubernetes object after all.
fn is_kubernetes(bytes: &[u8]) -> bool {
    let raw = serde_json::from_slice::<&RawValue>(bytes);
    raw.ok().and_then(|raw| Node::Json(raw).outline()).is_some_and(|outline| outline.kind || outline.api_version)
}

fn document(reader: &mut Reader<'_>, chunk: Chunk<'_>) {
    let body = chunk.text.strip_prefix("---").unwrap_or(chunk.text);
    if body.trim_start().starts_with('{') {
        let start = chunk.text.len() - body.trim_start().len();
        let Some(error) = json(reader, &chunk, start) else { return };
        // A flow mapping of YAML begins like JSON, so the text gets its second chance as YAML.
        match error {
            (0, error) => match yaml::parse(chunk) {
                Ok(mut value) => {
                    reader.top(Node::Tree(&value));
                    wipe(&mut value);
                }
                Err(_) => reader.unparsable(&error.to_string()),
            },
            (_, error) => reader.unparsable(&error.to_string()),
        }
        return;
    }
    match yaml::parse(chunk) {
        Ok(mut value) => {
            reader.top(Node::Tree(&value));
            wipe(&mut value);
        }
        Err(error) => reader.unparsable(&error.to_string()),
    }
}

/// Read objects of JSON that stand one behind the other. On failure: how many there were before it, and where it is.
fn json(reader: &mut Reader<'_>, chunk: &Chunk<'_>, start: usize) -> Option<(usize, SyntaxError)> {
    let rest = &chunk.text[start..];
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
    let mut count = 0;
    loop {
        match stream.next()? {
            Ok(raw) => {
                reader.top(Node::Json(raw));
                count += 1;
            }
            Err(error) => return Some((count, json_error(&error, chunk, start))),
        }
    }
}

fn json_error(error: &serde_json::Error, chunk: &Chunk<'_>, start: usize) -> SyntaxError {
    let before = &chunk.text[..start];
    let (line, column) = (error.line().max(1), error.column().max(1));
    let indent = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
    let message = error.to_string();
    // serde_json's texts about syntax are fixed; the position at their end is said in our own words.
    let what = message.rsplit_once(" at line ").map_or(&*message, |(head, _)| head);
    SyntaxError {
        line: chunk.line + before.matches('\n').count() + line,
        column: if line == 1 { indent + column } else { column },
        what: format!("is not JSON: {what}"),
    }
}

/// Overwrite the strings of a parsed document before its memory is given back: it held Secrets.
pub(super) fn wipe(value: &mut serde_json::Value) {
    use zeroize::Zeroize;
    match value {
        serde_json::Value::String(text) => text.zeroize(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(wipe),
        serde_json::Value::Object(map) => map.values_mut().for_each(wipe),
        _ => {}
    }
}
