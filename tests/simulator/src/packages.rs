//! Packages (repositories of images), their tags and their content.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::host::Home;
use crate::state::{Shared, State};
use crate::wire::{Reply, Request};

/// Who may read a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// Accounts with these logins, and tokens whose own `reads` cover it.
    Private {
        /// Logins of owners.
        readers: Vec<String>,
    },
}

impl Visibility {
    /// Private to tokens whose own `reads` cover it.
    pub fn private() -> Self {
        Self::Private { readers: Vec::new() }
    }
}

/// What a tag points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// `application/vnd.oci.image.index.v1+json`
    OciIndex,
    /// `application/vnd.oci.image.manifest.v1+json`
    OciManifest,
    /// `application/vnd.docker.distribution.manifest.list.v2+json`
    DockerList,
    /// `application/vnd.docker.distribution.manifest.v2+json`
    DockerManifest,
}

impl ManifestKind {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// The name in the 404 for a client that does not accept it (distribution `registry/handlers/manifests.go`).
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::OciIndex => ("OCI index", "OCI indexes"),
            Self::OciManifest => ("OCI manifest", "OCI manifests"),
            Self::DockerList => ("manifest list", "manifest lists"),
            Self::DockerManifest => ("manifest", "manifests"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) visibility: Visibility,
    tags: BTreeMap<String, String>,
    content: BTreeMap<String, (Content, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Manifest(ManifestKind),
    Blob,
}

impl Package {
    fn new(visibility: Visibility) -> Self {
        Self { visibility, tags: BTreeMap::new(), content: BTreeMap::new() }
    }

    fn store(&mut self, content: Content, body: &Value) -> (String, usize) {
        let bytes = body.to_string().into_bytes();
        let (digest, size) = (digest(&bytes), bytes.len());
        self.content.insert(digest.clone(), (content, bytes));
        (digest, size)
    }

    fn add_tag(&mut self, name: &str, tag: &str, kind: ManifestKind) {
        let docker = matches!(kind, ManifestKind::DockerList | ManifestKind::DockerManifest);
        let config_type = if docker {
            "application/vnd.docker.container.image.v1+json"
        } else {
            "application/vnd.oci.image.config.v1+json"
        };
        // Repository and tag go into the config, so that different tags have different digests.
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": { "Labels": { "simulator": format!("{name}:{tag}") } },
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let (config_digest, config_size) = self.store(Content::Blob, &config);
        let image_kind = if docker { ManifestKind::DockerManifest } else { ManifestKind::OciManifest };
        let image = json!({
            "schemaVersion": 2, "mediaType": image_kind.media_type(),
            "config": { "mediaType": config_type, "digest": config_digest, "size": config_size }, "layers": [],
        });
        let (image_digest, image_size) = self.store(Content::Manifest(image_kind), &image);
        let digest = if kind == image_kind {
            image_digest
        } else {
            let platform = json!({ "architecture": "amd64", "os": "linux" });
            let entry = json!({
                "mediaType": image_kind.media_type(), "digest": image_digest, "size": image_size, "platform": platform,
            });
            let index = json!({ "schemaVersion": 2, "mediaType": kind.media_type(), "manifests": [entry] });
            self.store(Content::Manifest(kind), &index).0
        };
        self.tags.insert(tag.to_owned(), digest);
    }
}

fn digest(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    hash.as_ref().iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A package that the world serves.
#[derive(Clone, Debug)]
pub struct PackageHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) home: Home,
    pub(crate) name: String,
}

impl PackageHandle {
    /// `org/image`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a tag that points at an OCI index, as most images on ghcr.io do.
    pub fn tag(&self, tag: &str) -> &Self {
        self.tag_as(tag, ManifestKind::OciIndex)
    }

    /// Adds a tag that points at a manifest of that kind.
    pub fn tag_as(&self, tag: &str, kind: ManifestKind) -> &Self {
        self.change(|package| package.add_tag(&self.name, tag, kind));
        self
    }

    /// Removes a tag; its manifest stays reachable by digest.
    pub fn remove_tag(&self, tag: &str) {
        self.change(|package| {
            package.tags.remove(tag);
        });
    }

    /// Changes who may read it.
    pub fn set_visibility(&self, visibility: Visibility) {
        self.change(|package| package.visibility = visibility);
    }

    /// The digest that a tag points at.
    pub fn digest(&self, tag: &str) -> Option<String> {
        let state = self.shared.lock();
        state.package(self.home, &self.name).and_then(|package| package.tags.get(tag)).cloned()
    }

    /// Deletes the package.
    pub fn remove(&self) {
        self.shared.lock().packages.remove(&(self.home, self.name.clone()));
    }

    fn change(&self, change: impl FnOnce(&mut Package)) {
        if let Some(package) = self.shared.lock().packages.get_mut(&(self.home, self.name.clone())) {
            change(package);
        }
    }
}

/// What a path under `/v2/` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Manifest(String),
    Blob(String),
    Tags,
    Upload,
}

/// Splits `/v2/<name>/<resource>`.
pub(crate) fn parse_path(path: &str) -> Option<(String, Resource)> {
    let rest = path.strip_prefix("/v2/")?;
    let split = |marker: &str| {
        rest.rsplit_once(marker)
            .filter(|(name, tail)| !name.is_empty() && !tail.contains('/'))
            .map(|(name, tail)| (name.to_owned(), tail.to_owned()))
    };
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some((name.to_owned(), Resource::Tags));
    }
    if let Some((name, _)) = rest.split_once("/blobs/uploads") {
        return Some((name.to_owned(), Resource::Upload));
    }
    split("/manifests/")
        .map(|(name, reference)| (name, Resource::Manifest(reference)))
        .or_else(|| split("/blobs/").map(|(name, digest)| (name, Resource::Blob(digest))))
}

/// `{"errors":[{"code":...,"message":...}]}` and a line feed: the recorded 401 of ghcr.io has 72 characters of JSON and
/// `content-length: 73`.
pub(crate) fn oci_error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!("{{\"errors\":[{{\"code\":{},\"message\":{}}}]}}\n", json!(code), json!(message));
    Reply::new(status, "application/json", body).with("docker-distribution-api-version", "registry/2.0")
}

impl State {
    pub(crate) fn add_package(&mut self, home: Home, name: &str, visibility: Visibility) {
        let mut package = Package::new(visibility);
        package.add_tag(name, "latest", ManifestKind::OciIndex);
        self.packages.insert((home, name.to_owned()), package);
    }

    pub(crate) fn package(&self, home: Home, name: &str) -> Option<&Package> {
        self.packages.get(&(home, name.to_owned()))
    }

    /// The content, for a client that may read it.
    pub(crate) fn serve_content(&self, home: Home, name: &str, resource: &Resource, request: &Request) -> Reply {
        let Some(package) = self.package(home, name) else {
            return match resource {
                Resource::Manifest(_) => oci_error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
                _ => oci_error(404, "NAME_UNKNOWN", "repository name not known to registry"),
            };
        };
        match resource {
            Resource::Tags => {
                let count = request.query_values("n").first().and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
                let last = request.query_values("last").into_iter().next().unwrap_or_default();
                let tags: Vec<&String> = package.tags.keys().filter(|tag| **tag > last).take(count).collect();
                let body = json!({ "name": name, "tags": tags });
                Reply::new(200, "application/json", body.to_string())
                    .with("docker-distribution-api-version", "registry/2.0")
            }
            Resource::Manifest(reference) => {
                let digest = package.tags.get(reference).unwrap_or(reference);
                match package.content.get(digest) {
                    Some((Content::Manifest(kind), body)) if accepts(request, *kind) => {
                        Reply::new(200, kind.media_type(), body.clone())
                            .with("docker-content-digest", digest)
                            .with("docker-distribution-api-version", "registry/2.0")
                            .with("etag", format!("\"{digest}\""))
                    }
                    Some((Content::Manifest(kind), _)) => {
                        let (one, many) = kind.words();
                        let message = format!("{one} found, but Accept header does not support {many}");
                        oci_error(404, "MANIFEST_UNKNOWN", &message)
                    }
                    _ => oci_error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
                }
            }
            Resource::Blob(digest) => match package.content.get(digest) {
                Some((Content::Blob, body)) => Reply::new(200, "application/octet-stream", body.clone())
                    .with("docker-content-digest", digest)
                    .with("docker-distribution-api-version", "registry/2.0"),
                _ => oci_error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            },
            Resource::Upload => oci_error(405, "UNSUPPORTED", "The operation is unsupported."),
        }
    }
}

/// Whether the client takes that kind. As in distribution, `*/*` does not stand for the OCI types.
fn accepts(request: &Request, kind: ManifestKind) -> bool {
    let mut types = request
        .headers
        .get_all("accept")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.split(';').next().unwrap_or_default().trim());
    kind == ManifestKind::DockerManifest || types.any(|media_type| media_type == kind.media_type())
}
