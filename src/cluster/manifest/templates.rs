//! The extension templates of container hooks that a `ConfigMap` holds.

use std::collections::BTreeMap;

use super::yaml::{self, Chunk};
use crate::cluster::HookTemplates;
use crate::cluster::wire::{ConfigMapShape, Interner, TemplateShape, hook_template, read_tree};

/// Longest text that is taken for a template. A `ConfigMap` holds 1 MiB at most, and a pod template a few lines.
const MAX_BYTES: usize = 256 * 1024;

/// What each key holds. Keys whose text is not a mapping with a `spec` are left out: most `ConfigMaps` are something else.
///
/// The parser needs a deep stack: call this on a thread with [`STACK_BYTES`](super::STACK_BYTES).
pub(in crate::cluster) fn hook_templates(shape: &ConfigMapShape<'_>, interner: &Interner) -> HookTemplates {
    let mut templates = BTreeMap::new();
    for (key, text) in &shape.data.0 {
        if text.len() > MAX_BYTES || !text.contains("spec") {
            continue;
        }
        let read = match yaml::parse(Chunk { text, line: 0 }) {
            Ok(tree) if tree.get("spec").is_some_and(serde_json::Value::is_object) => {
                let template = read_tree::<TemplateShape<'_>>(&tree);
                template.and_then(|shape| hook_template(&shape, interner)).map_err(|error| error.to_string().into())
            }
            Ok(_) => continue,
            Err(error) => Err(error.to_string().into()),
        };
        templates.insert(Box::from(&**key), read);
    }
    templates
}
