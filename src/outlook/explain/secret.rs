//! What depends on a Secret, and what would still pull if it died.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::pulls::depends_on;
use super::{Answer, Dependent};
use crate::cluster::ObjectRef;
use crate::outlook::build::{Inputs, build};
use crate::outlook::credentials::{self, Entries};
use crate::outlook::images::Images;
use crate::outlook::logins::Logins;
use crate::outlook::workloads::{Context, Pulls};

/// "Died" means that the registry refuses what the Secret holds: it still matches, so the kubelet does not fall back to an
/// anonymous pull. A Secret that is missing, skipped or malformed changes nothing by that; what names it is listed all the same.
pub(super) fn answer(inputs: &Inputs<'_>, namespace: &Arc<str>, name: &str, now: DateTime<Utc>) -> Answer {
    let at = ObjectRef::new(Arc::clone(namespace), name);
    let rows = build(inputs, now).credentials;
    let credentials: Vec<_> =
        rows.into_iter().filter(|row| row.secret_namespace == at.namespace && row.secret_name == at.name).collect();
    let entries = Entries::of(inputs.book);
    let mut images = Images::new(inputs.registries, &inputs.config.scope.node_credentials);
    let pulls = Pulls::of(inputs, &entries, &mut images);
    let logins = Logins::of(inputs, now);
    let judged = credentials::judge_entries(inputs, &entries, &images, &pulls, &logins, now);
    let mut context = Context::new(inputs, &entries, &images, &judged, &logins);
    let counts = inputs.book.secrets.get(&at).is_some_and(|record| !record.skipped && record.malformed.is_none());
    let mut dependents = Vec::new();
    for (workload, resolved, _) in &pulls.workloads {
        for pull in resolved {
            let named = pull.pull.namespace == at.namespace && pull.pull.secrets.contains(&at.name);
            if !named || (counts && !depends_on(&entries, pull, &at)) {
                continue;
            }
            let image = images.get(pull.image);
            let key = &workload.key;
            let (outlook, ..) = context.image(&pull.pull.namespace, pull, image);
            context.dead = Some(&at);
            let (outlook_without, ..) = context.image(&pull.pull.namespace, pull, image);
            context.dead = None;
            dependents.push(Dependent {
                workload_namespace: key.namespace.to_string(),
                workload_kind: key.kind.to_string(),
                workload_name: key.name.to_string(),
                pod_role: key.role.as_str(),
                image: pull.pull.image.to_string(),
                outlook,
                outlook_without,
            });
        }
    }
    Answer::Secret { credentials, dependents }
}
