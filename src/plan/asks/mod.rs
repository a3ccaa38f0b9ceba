//! What is to be asked: the questions that follow from the book and from what workloads pull.

mod tenants;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use self::tenants::{Holders, Needs, OPERATOR};
use super::book::Matched;
use super::{Ask, Book, Login, LoginId, Registry, TokenKey, Wanted};
use crate::credential::{ImageName, parse_image};
use crate::workload::{Workload, WorkloadKey};

/// The question to the issuer about a login's token; `None` where there is no issuer to ask, or it did not issue this
/// kind of token. A password that could be anything is never sent to an issuer.
pub fn issuer_asks(login: &Login) -> Option<TokenKey> {
    let issuer = login.registry.issuer.as_ref().filter(|issuer| issuer.knows(login.kind))?;
    // What stands in no HTTP header cannot be asked about: a line feed behind the token, for one.
    if !login.password.expose().iter().all(u8::is_ascii_graphic) {
        return None;
    }
    Some(TokenKey { issuer: issuer.clone(), token: login.token })
}

/// Everything that is to be asked, each question once, in a stable order: each login; each token of which an issuer knows;
/// each repository that a workload pulls with a login; each repository that a workload pulls, or may have to pull,
/// without a credential that counts; the canaries. Without `access_checks` no login is asked for repositories.
pub fn wanted(book: &Book, workloads: &BTreeMap<WorkloadKey, Workload>, access_checks: bool) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut logins: Vec<&Login> = book.logins.values().filter(|login| book.asks(login.id)).collect();
    logins.sort_unstable_by_key(|login| login.id);
    let holders = Holders::of(book);
    let mut tokens: BTreeMap<TokenKey, Vec<&Login>> = BTreeMap::new();
    for login in &logins {
        let tenant = holders.tenant(&[login.id]);
        wanted.push(simple(Ask::Login(login.id), &login.registry.host, &login.registry.entry, tenant));
        if let Some(token) = issuer_asks(login) {
            tokens.entry(token).or_default().push(login);
        }
    }
    for (token, logins) in tokens {
        let Some(host) = token.issuer.authority().map(Arc::<str>::from) else { continue };
        // Under a glob, tenants name the hosts of APIs as well.
        let named = logins.iter().any(|login| login.registry.entry == login.registry.host);
        let glob = logins.first().map(|login| &login.registry.entry).filter(|_| !named);
        let pool = glob.map_or_else(|| host.clone(), |entry| Arc::from(format!("the APIs of {entry}")));
        let logins: Vec<LoginId> = logins.iter().map(|login| login.id).collect();
        let tenant = holders.tenant(&logins);
        wanted.push(Wanted { ask: Ask::Issuer(token), host, pool, tenant, logins });
    }
    let mut pulls = Pulls::new(book);
    let here = (!book.shard().is_alone()).then(|| lists(workloads.values().filter(|workload| is_here(book, workload))));
    for (list, images) in lists(workloads.values()) {
        pulls.add(list, &images, |image| {
            here.as_ref().is_none_or(|here| here.get(&list).is_some_and(|images| images.contains(image)))
        });
    }
    let mut registries: BTreeMap<Arc<str>, Arc<Registry>> = BTreeMap::new();
    let listed = book.registries().listed_hosts().into_iter().filter_map(|host| book.registry(host));
    let used = logins.iter().map(|login| login.registry.clone()).chain(pulls.registries.into_values().flatten());
    registries.extend(listed.chain(used).map(|registry| (registry.host.clone(), registry)));
    let needs = Needs::of(&pulls.accesses);
    for ((host, login, repository), access) in &pulls.accesses {
        if login.is_none() || access_checks {
            let (login, reference) = (*login, access.reference.clone());
            let entry = registries.get(host).map_or(host, |registry| &registry.entry);
            let tenant = needs.tenant(login, host, access);
            let ask = Ask::Access { host: host.clone(), login, repository: repository.clone(), reference };
            wanted.push(simple(ask, host, entry, tenant));
        }
    }
    for (host, registry) in registries {
        if registry.canary.is_some() {
            wanted.push(simple(Ask::Canary(host.clone()), &host, &registry.entry, Arc::from(OPERATOR)));
        }
    }
    wanted
}

fn simple(ask: Ask, host: &Arc<str>, pool: &Arc<str>, tenant: Arc<str>) -> Wanted {
    Wanted { ask, host: host.clone(), pool: pool.clone(), tenant, logins: Vec::new() }
}

/// A namespace and an ordered list of pull Secrets in it.
type List<'a> = (&'a Arc<str>, &'a [Arc<str>]);

/// The images that are pulled with each list, so that each list is decoded into a keyring once.
fn lists<'w>(workloads: impl Iterator<Item = &'w Workload>) -> BTreeMap<List<'w>, BTreeSet<&'w Arc<str>>> {
    let mut lists: BTreeMap<List<'w>, BTreeSet<&'w Arc<str>>> = BTreeMap::new();
    for workload in workloads {
        for pull in &workload.pulls {
            lists.entry((&pull.namespace, &*pull.secrets)).or_default().insert(&pull.image);
        }
    }
    lists
}

/// Whether this shard shows a workload: then it also asks what anybody may pull of its images.
fn is_here(book: &Book, workload: &Workload) -> bool {
    let presented = workload.pulls.iter().flat_map(|pull| {
        let ring = book.keyring(&pull.namespace, &pull.secrets);
        let matched = parse_image(&pull.image).map(|image| ring.lookup(&image)).unwrap_or_default();
        matched.into_iter().filter_map(|matched| book.logins.get(&matched.login?)).map(|login| login.shard)
    });
    book.shard().of_workload(&workload.key, presented) == book.shard().index()
}

/// Host, login and repository of an access question.
type AccessKey = (Arc<str>, Option<LoginId>, Arc<str>);

/// What is known of an access question while they are gathered.
struct Access {
    /// The reference to ask for, which is the first in sort order that a workload names.
    reference: Arc<str>,
    /// Namespaces of the workloads.
    namespaces: BTreeSet<Arc<str>>,
}

/// Access questions while they are gathered.
struct Pulls<'a> {
    book: &'a Book,
    parsed: HashMap<&'a Arc<str>, Option<Arc<ImageName>>>,
    registries: HashMap<String, Option<Arc<Registry>>>,
    accesses: BTreeMap<AccessKey, Access>,
}

impl<'a> Pulls<'a> {
    fn new(book: &'a Book) -> Self {
        Self { book, parsed: HashMap::new(), registries: HashMap::new(), accesses: BTreeMap::new() }
    }

    /// The questions of a list; `is_here` tells whether a workload that this shard shows pulls an image.
    fn add(
        &mut self,
        (namespace, secrets): List<'_>,
        images: &BTreeSet<&'a Arc<str>>,
        is_here: impl Fn(&Arc<str>) -> bool,
    ) {
        let ring = self.book.keyring(namespace, secrets);
        // The kubelet pulls nothing for such a pod.
        if ring.poisoned.is_some() {
            return;
        }
        for text in images {
            let parsed = self.parsed.entry(text).or_insert_with(|| parse_image(text).ok().map(Arc::new));
            let Some(image) = parsed.clone() else { continue };
            let Some(registry) = self.registry(image.host()) else { continue };
            let matched = ring.lookup(&image);
            let logins = matched.iter().filter_map(|matched| matched.login);
            let asked: Vec<LoginId> = logins.filter(|login| self.book.asks(*login)).collect();
            for login in &asked {
                self.ask(&registry, Some(*login), &image, namespace);
            }
            let matters = !asked.is_empty() || is_here(text);
            if matters && ring.unread.is_none() && pulls_anonymously(&matched, &registry) {
                self.ask(&registry, None, &image, namespace);
            }
        }
    }

    fn registry(&mut self, host: &str) -> Option<Arc<Registry>> {
        if let Some(found) = self.registries.get(host) {
            return found.clone();
        }
        let found = self.book.registry(host);
        self.registries.insert(host.to_owned(), found.clone());
        found
    }

    fn ask(&mut self, registry: &Registry, login: Option<LoginId>, image: &ImageName, namespace: &Arc<str>) {
        let (repository, reference) = (Arc::from(image.path()), Arc::from(image.reference()));
        let known = self
            .accesses
            .entry((registry.host.clone(), login, repository))
            .or_insert_with(|| Access { reference: Arc::clone(&reference), namespaces: BTreeSet::new() });
        if reference < known.reference {
            known.reference = reference;
        }
        if !known.namespaces.contains(namespace) {
            known.namespaces.insert(Arc::clone(namespace));
        }
    }
}

/// Whether it matters what anybody may pull: no credential matches, the runtime drops an empty one, or one is of a kind
/// that the registry does not take, so that a pull which works proves nothing of it when the image is public.
fn pulls_anonymously(matched: &[Matched<'_>], registry: &Registry) -> bool {
    matched.is_empty()
        || matched.iter().any(|matched| matched.credential.anonymous || !registry.takes(matched.credential.kind))
}
