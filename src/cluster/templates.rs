//! Which objects hold the extension templates of container hooks: only those that sets of runners name are ever read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Controller, HookTemplateKey, HookTemplateRef, ObjectRef};

/// The keys of one object that are mounted as templates.
pub(super) type Keys = BTreeSet<Box<str>>;

/// The objects that runners mount their templates from, each with the keys that count. Where the template of an owner
/// counts, so does what that one names.
pub(super) fn named<'a>(controllers: impl Iterator<Item = &'a Arc<Controller>>) -> BTreeMap<HookTemplateKey, Keys> {
    let mut named: BTreeMap<HookTemplateKey, Keys> = BTreeMap::new();
    for controller in controllers.filter(|controller| controller.template.is_some()) {
        let hooks = controller.arc.as_ref().and_then(|arc| arc.hooks.as_ref());
        if let Some(HookTemplateRef::Key { holder, name, key }) = hooks.map(|hooks| &hooks.template) {
            let at = ObjectRef { namespace: Arc::clone(&controller.at.namespace), name: Arc::clone(name) };
            named.entry((*holder, at)).or_default().insert(key.clone());
        }
    }
    named
}
