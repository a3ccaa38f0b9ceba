//! Docker's `config.json` and the legacy `.dockercfg` as pull Secrets without a namespace.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretSlice;

use crate::cluster::{DOCKERCFG_TYPE, DOCKERCONFIGJSON_TYPE, ObjectRef, PullSecret};

/// What a file name says about its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameTells {
    /// `config.json`: Docker's, if the user names it and it is no Kubernetes object.
    Likely,
    /// `.dockerconfigjson`: the document of a mounted pull Secret.
    DockerConfigJson,
    /// `.dockercfg`: the same in the legacy form.
    Dockercfg,
}

/// What the name of a source says.
pub(super) fn by_name(source: &str) -> Option<NameTells> {
    match Path::new(source).file_name()?.to_str()? {
        "config.json" => Some(NameTells::Likely),
        ".dockerconfigjson" => Some(NameTells::DockerConfigJson),
        ".dockercfg" => Some(NameTells::Dockercfg),
        _ => None,
    }
}

/// Whether a key is `auths` to the kubelet, which folds case as Go's `encoding/json` does: U+017F counts as `s`.
pub(super) fn is_auths(key: &str) -> bool {
    key.replace('\u{17f}', "s").eq_ignore_ascii_case("auths")
}

/// The document as a pull Secret: the namespace is empty, the name is the path as given.
pub(super) fn pull_secret(source: &str, document: &[u8], legacy: bool) -> PullSecret {
    let data = Some(SecretSlice::from(document.to_vec()).into());
    let at = ObjectRef { namespace: Arc::from(""), name: Arc::from(source) };
    if legacy {
        PullSecret { at, secret_type: DOCKERCFG_TYPE.into(), dockerconfigjson: None, dockercfg: data }
    } else {
        PullSecret { at, secret_type: DOCKERCONFIGJSON_TYPE.into(), dockerconfigjson: data, dockercfg: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auths_is_found_as_the_kubelet_finds_it() {
        for key in ["auths", "Auths", "AUTHS", "auth\u{17f}"] {
            assert!(is_auths(key), "{key}");
        }
        for key in ["auth", "authss", "äuths", "auths "] {
            assert!(!is_auths(key), "{key}");
        }
    }
}
