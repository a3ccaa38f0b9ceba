//! Rows of workloads: what each would pull on a fresh node now, and until when.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::build::Inputs;
use super::credentials::{Entries, EntryId, Judgements};
use super::findings;
use super::gaps;
use super::images::{Image, ImageId, Images};
use super::live;
use super::logins::Logins;
use super::parts;
use super::references;
use super::words::{self, Cause};
use super::{ImageRow, MatchedCredential, Outlook, WorkloadPart, WorkloadRow};
use crate::cluster::{DOCKERCFG_TYPE, ObjectRef};
use crate::credential::{Finding, ImageName, RegistryKey};
use crate::plan::{LoginId, PodKeyring};
use crate::verdict::Status;
use crate::workload::{Pull, Workload};

/// One pull with the credentials that the kubelet would try.
#[derive(Debug)]
pub(super) struct Resolved<'a> {
    pub(super) pull: &'a Pull,
    pub(super) image: ImageId,
    pub(super) matched: Vec<Presented>,
    /// The first Secret of the list that fails every lookup.
    pub(super) malformed: Option<Arc<str>>,
    /// A Secret of the list that we do not see, which proves nothing.
    unseen: Option<Arc<str>>,
    /// A Secret of the list whose credentials are too many to be looked at, which proves nothing either.
    unread: Option<Arc<str>>,
}

impl Resolved<'_> {
    /// Whether its list of Secrets holds what we do not see, so that nothing is proven by what fails.
    pub(super) fn is_obscured(&self) -> bool {
        self.unseen.is_some() || self.unread.is_some()
    }
}

/// A credential that the kubelet would try, and the login that it stands for at the registry of the image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented {
    pub(super) entry: EntryId,
    pub(super) login: Option<LoginId>,
}

/// Broken references: name of the Secret, and the reason.
pub(super) type Broken = BTreeSet<(Arc<str>, &'static str)>;

/// All pulls of all workloads, with the credentials that they would present.
#[derive(Debug)]
pub(super) struct Pulls<'a> {
    pub(super) workloads: Vec<(&'a Workload, Vec<Resolved<'a>>, Broken)>,
    needed: Vec<BTreeSet<ImageId>>,
    /// By row.
    presented: Vec<usize>,
}

impl<'a> Pulls<'a> {
    pub(super) fn of(inputs: &Inputs<'a>, entries: &Entries<'a>, images: &mut Images<'_>) -> Self {
        let mut this = Self {
            workloads: Vec::with_capacity(inputs.workloads.len()),
            needed: vec![BTreeSet::new(); entries.len()],
            presented: vec![0; entries.rows.len()],
        };
        for workload in inputs.workloads.values() {
            let mut rows = BTreeSet::new();
            let mut broken = Broken::new();
            let mut resolved = Vec::with_capacity(workload.pulls.len());
            let mut ring: Option<Ring<'a>> = None;
            for pull in &workload.pulls {
                let ring = match &mut ring {
                    Some(ring) if *ring.secrets == *pull.secrets && *ring.namespace == pull.namespace => ring,
                    ring => ring.insert(Ring::of(inputs, entries, &pull.namespace, &pull.secrets)),
                };
                broken.extend(ring.broken.iter().cloned());
                rows.extend(ring.malformed_rows.iter().copied());
                let image = images.intern(&pull.image);
                let name = images.get(image).name.as_ref();
                let (found, beyond) = name.map(|name| ring.keyring.lookup_bounded(name)).unwrap_or_default();
                let presented = found.into_iter().filter_map(|found| {
                    let at = ObjectRef::new(Arc::clone(&pull.namespace), found.secret);
                    Some(Presented { entry: entries.of_secret(&at)? + found.entry, login: found.login })
                });
                let matched: Vec<Presented> = presented.collect();
                for presented in &matched {
                    this.needed[presented.entry].insert(image);
                    rows.insert(entries.get(presented.entry).row);
                }
                let malformed = ring.keyring.poisoned.as_ref().map(|(name, _)| Arc::clone(name));
                let unread = ring.keyring.unread.clone().or(beyond);
                resolved.push(Resolved { pull, image, matched, malformed, unseen: ring.unseen.clone(), unread });
            }
            for row in rows {
                this.presented[row] += 1;
            }
            this.workloads.push((workload, resolved, broken));
        }
        this
    }

    /// The images for which workloads would present an entry.
    pub(super) fn needed(&self, entry: EntryId) -> &BTreeSet<ImageId> {
        &self.needed[entry]
    }

    /// How many workloads would present a credential, or name a malformed Secret.
    pub(super) fn presented(&self, row: usize) -> usize {
        self.presented[row]
    }
}

/// The keyring of a list of Secrets, with what is wrong with the list.
struct Ring<'a> {
    namespace: &'a Arc<str>,
    secrets: &'a [Arc<str>],
    keyring: PodKeyring<'a>,
    malformed_rows: Vec<usize>,
    unseen: Option<Arc<str>>,
    broken: Vec<(Arc<str>, &'static str)>,
}

impl<'a> Ring<'a> {
    fn of(inputs: &Inputs<'a>, entries: &Entries<'a>, namespace: &'a Arc<str>, secrets: &'a [Arc<str>]) -> Self {
        let keyring = inputs.book.keyring(namespace, secrets);
        let row = |name: &Arc<str>| entries.malformed_row(&ObjectRef::new(Arc::clone(namespace), Arc::clone(name)));
        let malformed_rows = keyring.malformed.iter().filter_map(row).collect();
        let is_proven = |name: &&Arc<str>| references::absence_is_proven(inputs, namespace, name);
        let unseen = keyring.missing.iter().find(|name| !is_proven(name)).cloned();
        let not_found = keyring.missing.iter().filter(is_proven).map(|name| (name, "not_found"));
        let wrong_type = keyring.wrong_type.iter().map(|name| (name, "wrong_type"));
        let malformed = keyring.malformed.iter().map(|name| (name, "malformed"));
        let broken = not_found.chain(wrong_type).chain(malformed);
        let broken = broken.map(|(name, reason)| (Arc::clone(name), reason)).collect();
        Self { namespace, secrets, keyring, malformed_rows, unseen, broken }
    }
}

/// How the pull of one image with one credential would go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It works, until then as far as is known.
    Works(Option<DateTime<Utc>>),
    Fails,
    Unknown,
}

/// The rows, and what they say about credentials.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    pub(super) rows: Vec<WorkloadRow>,
    /// Images of which several shards know a part.
    pub(super) parts: Vec<WorkloadPart>,
    /// By row of a credential that fails first where a later one works.
    pub(super) later_credential_only: BTreeMap<usize, Finding>,
    /// By row of a credential of which pods show the opposite right now.
    pub(super) contradicted: BTreeMap<usize, Finding>,
}

/// By namespace and image: the name of a Secret.
type Covering = HashMap<(Arc<str>, ImageId), Option<Arc<str>>>;

pub(super) struct Context<'c, 'a> {
    pub(super) inputs: &'c Inputs<'a>,
    entries: &'c Entries<'a>,
    pub(super) images: &'c Images<'c>,
    judged: &'c Judgements<'c>,
    logins: &'c Logins,
    /// By namespace and image: a Secret there that would cover it.
    covering: RefCell<Covering>,
    /// A Secret whose credentials are taken for refused: what if it died?
    pub(super) dead: Option<&'c ObjectRef>,
}

/// The rows, in the order of their keys.
pub(super) fn rows<'a>(
    inputs: &Inputs<'a>,
    entries: &Entries<'a>,
    images: &Images<'_>,
    pulls: &Pulls<'a>,
    judged: &Judgements<'_>,
    logins: &Logins,
) -> Workloads {
    let context = Context::new(inputs, entries, images, judged, logins);
    let mut all = Workloads::default();
    for (workload, resolved, broken) in &pulls.workloads {
        let shards = parts::shards(inputs.book, resolved);
        all.parts.extend(parts::of(&context, workload, resolved, &shards));
        if parts::is_here(inputs.book, &workload.key, &shards) {
            let row = context.row(workload, resolved, broken, &mut all);
            all.rows.push(row);
        }
    }
    all
}

impl<'c, 'a> Context<'c, 'a> {
    pub(super) fn new(
        inputs: &'c Inputs<'a>,
        entries: &'c Entries<'a>,
        images: &'c Images<'c>,
        judged: &'c Judgements<'c>,
        logins: &'c Logins,
    ) -> Self {
        Self { inputs, entries, images, judged, logins, covering: RefCell::default(), dead: None }
    }

    fn row(&self, workload: &'a Workload, pulls: &[Resolved<'a>], broken: &Broken, all: &mut Workloads) -> WorkloadRow {
        let mut deadline: Option<DateTime<Utc>> = None;
        let mut findings = Vec::new();
        let mut images = Vec::with_capacity(pulls.len());
        let mut causes: Vec<(Outlook, String, String)> = Vec::new();
        let failing = self.inputs.failing.get(&workload.key);
        for pull in pulls {
            let image = self.images.get(pull.image);
            let (outlook, until, cause) = self.image(&pull.pull.namespace, pull, image);
            deadline = match (deadline, until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if let Some((first, finding)) = self.later_credential_only(pull, image) {
                all.later_credential_only.entry(self.entries.get(first).row).or_insert_with(|| finding.clone());
                findings.push(finding);
            }
            for (failure, pods) in failing.into_iter().flat_map(|failing| live::of_pull(failing, pull.pull)) {
                let claim = self.claim(outlook, pull, image);
                if let Some((finding, credential)) = live::contradiction(&workload.key, &claim, failure, pods) {
                    if let Some(id) = credential {
                        all.contradicted.entry(self.entries.get(id).row).or_insert_with(|| finding.clone());
                    }
                    findings.push(finding);
                }
            }
            if let Some(cause) = cause {
                let (reason, fix) = words::explain(&workload.key, pull.pull, &cause);
                causes.push((outlook, reason, fix));
            }
            let credentials = pull.matched.iter().map(|one| {
                let entry = self.entries.get(one.entry);
                MatchedCredential {
                    secret_name: Arc::clone(&entry.at.name),
                    registry: Arc::clone(&entry.entry.written),
                    status: self.judged[one.entry].status,
                }
            });
            images.push(ImageRow {
                image: Arc::clone(&pull.pull.image),
                containers: pull.pull.containers.clone(),
                outlook,
                credentials: credentials.collect(),
                // A Secret that is not among the manifests is nobody's choice, whatever registry it is for.
                by_choice: outlook == Outlook::Unverified && image.host.is_none() && pull.unseen.is_none(),
            });
        }
        findings.extend(failing.into_iter().flat_map(|failing| live::hanging(&workload.key, failing)));
        findings::sort(&mut findings);
        let known = images.iter().map(|image| image.outlook).min();
        let gap = workload.gap.as_ref();
        let outlook = known.unwrap_or(if gap.is_some() { Outlook::Unknown } else { Outlook::Ok });
        let (mut reason, mut fix) = words::join(outlook, causes);
        if let Some(gap) = gap
            && matches!(outlook, Outlook::Unknown | Outlook::Ok)
            && reason.is_empty()
        {
            let told = gaps::explain(&workload.key, gap, |secret| self.registries_of(&workload.key.namespace, secret));
            reason = told.0;
            // Where all that is known pulls, there is nothing to mend until a job fails.
            fix = if known.is_none() { told.1 } else { fix };
        }
        WorkloadRow {
            key: workload.key.clone(),
            outlook,
            deadline,
            images,
            broken_references: broken.iter().cloned().collect(),
            failing: failing
                .map(|failing| failing.pods.iter().map(|(why, pods)| (*why, *pods)).collect())
                .unwrap_or_default(),
            gone: failing
                .map(|failing| &failing.gone)
                .filter(|gone| !gone.is_empty())
                .map(|gone| Box::new(gone.clone())),
            findings,
            reason,
            fix,
            idle: workload.idle,
        }
    }

    /// The registry keys of a Secret, as written.
    fn registries_of(&self, namespace: &Arc<str>, secret: &Arc<str>) -> Vec<Arc<str>> {
        let at = ObjectRef::new(Arc::clone(namespace), Arc::clone(secret));
        let record = self.inputs.book.secrets.get(&at);
        record.into_iter().flat_map(|record| &record.credentials).map(|one| Arc::clone(&one.written)).collect()
    }

    /// Outlook of one image, until when it works, and what is in the way.
    pub(super) fn image(
        &self,
        namespace: &Arc<str>,
        pull: &Resolved<'a>,
        image: &Image,
    ) -> (Outlook, Option<DateTime<Utc>>, Option<Cause>) {
        let name = match &image.name {
            Ok(name) => name,
            Err(error) => return (Outlook::Unknown, None, Some(Cause::ImageDoesNotParse(error.to_string()))),
        };
        // The kubelet builds the keyring of the pod for every image, so this fails public images too.
        if let Some(secret) = &pull.malformed {
            return (Outlook::Blocked, None, Some(Cause::Malformed(Arc::clone(secret))));
        }
        let attempts: Vec<Attempt> = pull.matched.iter().map(|one| self.attempt(*one, image, name)).collect();
        let until = attempts.iter().filter_map(|attempt| match attempt {
            Attempt::Works(until) => Some(*until),
            _ => None,
        });
        if image.by_node {
            return (Outlook::Ok, None, None);
        }
        // The last of the working credentials decides; one without a date works on.
        if let Some(until) = until.reduce(|a, b| Some(a?.max(b?))) {
            // One of another shard may work for longer, or for ever.
            let until = until.filter(|_| self.of_other_shards(pull).is_empty());
            return (Outlook::Ok, until, None);
        }
        if let Some(secret) = &pull.unseen {
            return (Outlook::Unverified, None, Some(Cause::Unseen(Arc::clone(secret))));
        }
        if let Some(secret) = &pull.unread {
            return (Outlook::Unverified, None, Some(Cause::Unread(Arc::clone(secret))));
        }
        if pull.matched.is_empty() {
            return match self.anonymous(image, name) {
                Attempt::Works(_) => (Outlook::Ok, None, None),
                Attempt::Fails => (Outlook::Uncovered, None, Some(self.uncovered(namespace, pull, name))),
                Attempt::Unknown if image.host.is_none() => {
                    (Outlook::Unverified, None, Some(Cause::NotListed(name.host().to_owned())))
                }
                Attempt::Unknown => (Outlook::Unverified, None, Some(Cause::AnonymousNotProven)),
            };
        }
        if attempts.contains(&Attempt::Unknown) {
            let elsewhere = self.of_other_shards(pull);
            let cause = if image.host.is_none() {
                Cause::NotListed(name.host().to_owned())
            } else if !elsewhere.is_empty() {
                Cause::OfOtherShards(elsewhere)
            } else {
                Cause::NotProven(self.secret_names(pull))
            };
            return (Outlook::Unverified, None, Some(cause));
        }
        let failing = pull.matched.iter().map(|one| {
            let entry = self.entries.get(one.entry);
            let registry = Arc::clone(&entry.entry.written);
            words::Failing {
                secret: Arc::clone(&entry.at.name),
                registry,
                username: Arc::from(&*entry.entry.username),
                legacy: &*entry.record.source.secret_type == DOCKERCFG_TYPE,
                others: entry.record.credentials.len() > 1,
                status: self.judged[one.entry].status,
            }
        });
        (Outlook::Blocked, None, Some(Cause::AllFail(failing.collect())))
    }

    pub(super) fn attempt(&self, presented: Presented, image: &Image, name: &ImageName) -> Attempt {
        let id = presented.entry;
        if self.entries.get(id).entry.anonymous {
            return self.anonymous(image, name);
        }
        if self.dead.is_some_and(|dead| self.entries.get(id).at == dead) {
            return Attempt::Fails;
        }
        let (Some(host), Some(login)) = (&image.host, presented.login) else { return Attempt::Unknown };
        let Some(view) = self.logins.get(login).map(|facts| &facts.view) else { return Attempt::Unknown };
        let ledger = self.inputs.ledger;
        let access = ledger.access(Some(login), host, name.path());
        let expires_at = self.judged[id].expires_at;
        match (view.accepted, access.granted) {
            (Some(false), _) | (Some(true), Some(false)) => Attempt::Fails,
            (Some(true), Some(true)) => Attempt::Works(expires_at),
            // An open registry: nothing is known of the password, but the pull was seen to work.
            (None, Some(true)) if view.password_not_checked => Attempt::Works(None),
            _ if matches!(self.judged[id].status, Status::Unsupported | Status::InsufficientScope)
                && ledger.access(None, host, name.path()).granted == Some(false) =>
            {
                Attempt::Fails
            }
            _ => Attempt::Unknown,
        }
    }

    pub(super) fn anonymous(&self, image: &Image, name: &ImageName) -> Attempt {
        let Some(host) = &image.host else { return Attempt::Unknown };
        match self.inputs.ledger.access(None, host, name.path()).granted {
            Some(true) => Attempt::Works(None),
            Some(false) => Attempt::Fails,
            None => Attempt::Unknown,
        }
    }

    /// A credential that fails first, where the image is pulled only because a later one works.
    pub(super) fn later_credential_only(&self, pull: &Resolved<'a>, image: &Image) -> Option<(EntryId, Finding)> {
        let name = image.name.as_ref().ok().filter(|_| pull.malformed.is_none())?;
        let first = *pull.matched.first()?;
        if self.attempt(first, image, name) != Attempt::Fails {
            return None;
        }
        let mut rest = pull.matched.iter().map(|one| (one.entry, self.attempt(*one, image, name)));
        let works = rest.find(|(_, attempt)| *attempt != Attempt::Fails);
        let later = match works {
            Some((id, Attempt::Works(_))) => format!("the Secret {}", self.entries.get(id).at.name),
            None if image.by_node => "a credential of the node".to_owned(),
            _ => return None,
        };
        let first_name = format!("the Secret {}", self.entries.get(first.entry).at.name);
        Some((first.entry, findings::later_credential_only(&first_name, &pull.pull.image, &later)))
    }

    /// What we say of a pull, for a comparison with what happens.
    fn claim<'p>(&self, outlook: Outlook, pull: &'p Resolved<'a>, image: &Image) -> live::Claim<'p> {
        let mut working = Vec::new();
        let mut dead = !pull.matched.is_empty();
        for one in &pull.matched {
            let works =
                image.name.as_ref().is_ok_and(|name| matches!(self.attempt(*one, image, name), Attempt::Works(_)));
            if works && !self.entries.get(one.entry).entry.anonymous && !working.contains(&one.entry) {
                working.push(one.entry);
            }
            dead &= matches!(self.judged[one.entry].status, Status::Expired | Status::Rejected);
        }
        let secrets = working.iter().map(|id| Arc::clone(&self.entries.get(*id).at.name)).collect();
        let ids = pull.matched.iter().map(|one| one.entry).collect();
        live::Claim { image: &pull.pull.image, outlook, by_node: image.by_node, matched: ids, working, secrets, dead }
    }

    /// No credential matches: is there one in the namespace that would?
    fn uncovered(&self, namespace: &Arc<str>, pull: &Resolved<'a>, name: &ImageName) -> Cause {
        let find = || {
            let mut working =
                self.entries.in_namespace(namespace).filter(|(id, _)| self.judged[*id].status == Status::Valid);
            let covers = |key: &RegistryKey| key.matches(&name.repository);
            let found = working.find(|(_, entry)| entry.entry.key.as_ref().is_some_and(|key| covers(key)));
            found.map(|(_, entry)| Arc::clone(&entry.at.name))
        };
        let mut covering = self.covering.borrow_mut();
        let secret = covering.entry((Arc::clone(namespace), pull.image)).or_insert_with(find).clone();
        Cause::Uncovered { repository: name.repository.clone(), secret }
    }

    /// The Secrets of a pull whose credentials another shard asks about, and which shard that is.
    fn of_other_shards(&self, pull: &Resolved<'a>) -> BTreeSet<(Arc<str>, u16)> {
        let book = self.inputs.book;
        let others = pull.matched.iter().filter(|one| one.login.is_some_and(|login| !book.asks(login)));
        let named = others.map(|one| self.entries.get(one.entry));
        named.map(|entry| (Arc::clone(&entry.at.name), entry.entry.shard)).collect()
    }

    fn secret_names(&self, pull: &Resolved<'a>) -> Vec<Arc<str>> {
        let mut seen = HashSet::new();
        let names = pull.matched.iter().map(|one| Arc::clone(&self.entries.get(one.entry).at.name));
        names.filter(|name| seen.insert(Arc::clone(name))).collect()
    }
}
