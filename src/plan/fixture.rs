//! What the tests of this room share.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretSlice;

use super::{Book, Identifier, LoginId, Registries};
use crate::cluster::{
    ContainerKind, DOCKERCONFIGJSON_TYPE, Document, Inventory, ObjectRef, Pod, PodImage, PodPulls, PullSecret,
};
use crate::config::{IssuerChoice, RegistryConfig};
use crate::workload::{NeededImages, needed_images, workloads};

/// A good token of the classic family (its checksum holds).
pub(super) const CLASSIC: &str = "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";

/// An entry of the config that says no more than its host.
pub(super) fn registry(host: &str) -> RegistryConfig {
    RegistryConfig {
        host: host.to_owned(),
        issuer: IssuerChoice::None,
        api: None,
        endpoint: None,
        plain_http: false,
        ca_file: None,
        allow_private_addresses: false,
        realms: Vec::new(),
        requests_per_second: 5.0,
        canary: None,
    }
}

pub(super) fn book(registries: &[RegistryConfig]) -> Book {
    Book::new(Identifier::new(&[7; 32]), Registries::new(registries).expect("a good config"))
}

/// A world of Secrets and pods.
#[derive(Default)]
pub(super) struct World {
    pub(super) inventory: Inventory,
}

/// `namespace/name`.
pub(super) fn at(text: &str) -> ObjectRef {
    let (namespace, name) = text.split_once('/').expect("namespace/name");
    ObjectRef::new(namespace, name)
}

pub(super) fn arcs(texts: &[&str]) -> Vec<Arc<str>> {
    texts.iter().copied().map(Arc::from).collect()
}

impl World {
    /// Put a Secret with this document.
    pub(super) fn document(&mut self, secret: &str, secret_type: &str, document: &str) {
        let at = at(secret);
        let data = Some(SecretSlice::from(document.as_bytes().to_vec()).into());
        let secret =
            PullSecret { at: at.clone(), secret_type: secret_type.into(), dockerconfigjson: data, dockercfg: None };
        self.inventory.secrets.insert(at, Arc::new(secret));
    }

    /// Put a Secret with these entries: key, user name, password.
    pub(super) fn secret(&mut self, secret: &str, entries: &[(&str, &str, &str)]) {
        let auths: BTreeMap<&str, serde_json::Value> = entries
            .iter()
            .map(|(key, username, password)| {
                (*key, serde_json::json!({ "auth": STANDARD.encode(format!("{username}:{password}")) }))
            })
            .collect();
        self.document(secret, DOCKERCONFIGJSON_TYPE, &serde_json::json!({ "auths": auths }).to_string());
    }

    pub(super) fn pod(&mut self, pod: &str, secrets: &[&str], images: &[&str]) {
        let at = at(pod);
        let images = images.iter().map(|image| PodImage {
            container: Arc::from("main"),
            kind: ContainerKind::Regular,
            image: Arc::from(*image),
        });
        let pod = Pod {
            at: at.clone(),
            pulls: Arc::new(PodPulls {
                service_account: Arc::from("default"),
                pull_secrets: arcs(secrets),
                admitted_from_service_account: false,
                images: images.collect(),
                owner: None,
            }),
            waiting: Vec::new(),
        };
        self.inventory.pods.insert(at, Arc::new(pod));
    }

    pub(super) fn needed(&self) -> NeededImages {
        needed_images(&workloads(&self.inventory))
    }

    pub(super) fn sync(&self, book: &mut Book) -> Vec<LoginId> {
        book.sync(&self.inventory, &self.needed())
    }

    /// The same objects as a fresh list of a watch gives them: other pointers, same content.
    pub(super) fn relist(&mut self) {
        use secrecy::ExposeSecret as _;
        for secret in self.inventory.secrets.values_mut() {
            let copy = |data: &Option<Document>| {
                data.as_ref().map(|data| SecretSlice::from(data.expose_secret().to_vec()).into())
            };
            *secret = Arc::new(PullSecret {
                at: secret.at.clone(),
                secret_type: secret.secret_type.clone(),
                dockerconfigjson: copy(&secret.dockerconfigjson),
                dockercfg: copy(&secret.dockercfg),
            });
        }
    }
}
