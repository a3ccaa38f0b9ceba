//! The images that workloads name: parsed once, with the registry that each is pulled from.

use std::collections::HashMap;
use std::sync::Arc;

use crate::credential::{ImageError, ImageName, parse_image, urls_match};
use crate::plan::Registries;

/// Handle of an image in [`Images`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ImageId(usize);

/// One image as written.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) name: Result<ImageName, ImageError>,
    /// The registry as the list knows it; `None` when it may not be asked.
    pub(super) host: Option<Arc<str>>,
    /// Whether nodes can pull it by other means.
    pub(super) by_node: bool,
}

/// All images, parsed.
#[derive(Debug)]
pub(super) struct Images<'a> {
    registries: &'a Registries,
    node_credentials: &'a [String],
    known: HashMap<Arc<str>, ImageId>,
    hosts: HashMap<String, Option<Arc<str>>>,
    all: Vec<Image>,
}

impl<'a> Images<'a> {
    pub(super) fn new(registries: &'a Registries, node_credentials: &'a [String]) -> Self {
        Self { registries, node_credentials, known: HashMap::new(), hosts: HashMap::new(), all: Vec::new() }
    }

    pub(super) fn get(&self, id: ImageId) -> &Image {
        &self.all[id.0]
    }

    pub(super) fn intern(&mut self, written: &Arc<str>) -> ImageId {
        if let Some(id) = self.known.get(written) {
            return *id;
        }
        let name = parse_image(written);
        let (host, by_node) = match &name {
            Ok(name) => {
                (self.host(name.host()), self.node_credentials.iter().any(|glob| covers(glob, &name.repository)))
            }
            Err(_) => (None, false),
        };
        let id = ImageId(self.all.len());
        self.all.push(Image { name, host, by_node });
        self.known.insert(Arc::clone(written), id);
        id
    }

    fn host(&mut self, host: &str) -> Option<Arc<str>> {
        if let Some(known) = self.hosts.get(host) {
            return known.clone();
        }
        let found = self.registries.find(host).map(|registry| Arc::clone(&registry.host));
        self.hosts.insert(host.to_owned(), found.clone());
        found
    }
}

/// Whether a glob of `scope.nodeCredentials` covers a repository, by the kubelet's rules for `matchImages` (globs per host
/// label, the path as a prefix). A `*` at the end of the path, which people write, means the prefix before it.
pub(super) fn covers(glob: &str, repository: &str) -> bool {
    let glob = if glob.contains('/') { glob.trim_end_matches('*') } else { glob };
    urls_match(glob, repository).unwrap_or(false)
}
