//! The extension templates of container hooks that a `ConfigMap` or a Secret holds.

use secrecy::ExposeSecret;

use super::document::wipe;
use super::yaml::{self, Chunk};
use crate::cluster::wire::{ConfigMapShape, Interner, TemplateSecretShape, TemplateShape, hook_template, read_tree};
use crate::cluster::{HookTemplate, HookTemplates};

/// Longest text that is taken for a template: a pod template has a few lines.
pub(in crate::cluster) const MAX_BYTES: usize = 64 * 1024;

/// The template in the text of one key; nothing where the text is not a mapping with a `spec`. An error tells why without
/// quoting the text.
///
/// The parser needs a deep stack: call this on a thread with [`STACK_BYTES`](super::STACK_BYTES).
pub(in crate::cluster) fn read_template(text: &str, interner: &Interner) -> Result<Option<HookTemplate>, Box<str>> {
    if !text.contains("spec") {
        return Ok(None);
    }
    if text.len() > MAX_BYTES {
        return Err(too_long());
    }
    let mut tree = yaml::parse(Chunk { text, line: 0 }).map_err(|error| error.to_string())?;
    let has_spec = tree.get("spec").is_some_and(serde_json::Value::is_object);
    let template = has_spec.then(|| {
        let template = read_tree::<TemplateShape<'_>>(&tree);
        template.and_then(|shape| hook_template(&shape, interner)).map_err(|error| error.to_string().into())
    });
    wipe(&mut tree);
    template.transpose()
}

/// What is said of a text that is too long to be a template.
pub(in crate::cluster) fn too_long() -> Box<str> {
    format!("it is longer than {} KiB", MAX_BYTES / 1024).into()
}

/// What each key of a `ConfigMap` holds. Keys whose text is not a mapping with a `spec` are left out: most `ConfigMaps` are
/// something else.
pub(super) fn of_config_map(shape: &ConfigMapShape<'_>, interner: &Interner) -> HookTemplates {
    let texts = shape.data.0.iter();
    texts.filter_map(|(key, text)| Some((Box::from(&**key), read_template(text, interner).transpose()?))).collect()
}

/// What each key of a Secret holds, as of a `ConfigMap`. Of all else that it holds nothing is kept.
pub(super) fn of_secret(shape: &TemplateSecretShape<'_>, interner: &Interner) -> HookTemplates {
    let read = |key: &str| {
        let text = shape.text(key)?.ok()?;
        Some((Box::from(key), read_template(text.expose_secret(), interner).transpose()?))
    };
    shape.keys().filter_map(read).collect()
}
