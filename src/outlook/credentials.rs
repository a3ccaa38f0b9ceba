//! Rows of credentials: one per Secret and registry key.

mod sync;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::{Deref, Index};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::build::Inputs;
use super::findings;
use super::images::{ImageId, Images};
use super::logins::{LoginFacts, Logins};
use super::parts;
use super::workloads::{Pulls, Workloads};
use super::{Copies, CredentialFacts, CredentialRow};
use crate::cluster::ObjectRef;
use crate::credential::{Finding, FindingKind, Severity};
use crate::plan::{Book, Contents, CredentialEntry, LoginId, SecretRecord, TokenId};
use crate::verdict::{AccessView, Judged, Status, judge};

/// Handle of an entry in [`Entries`].
pub(super) type EntryId = usize;

/// One entry of one Secret.
#[derive(Debug)]
pub(super) struct EntryOf<'a> {
    pub(super) at: &'a ObjectRef,
    pub(super) record: &'a SecretRecord,
    pub(super) entry: &'a CredentialEntry,
    /// The row that it belongs to.
    pub(super) row: usize,
    /// The same for all entries that are one entry of shared contents.
    kind: usize,
}

/// One row: a Secret and a registry key, or a malformed Secret.
#[derive(Debug)]
pub(super) struct RowOf<'a> {
    at: &'a ObjectRef,
    record: &'a SecretRecord,
    /// None for a malformed Secret.
    entries: Ids,
    /// The shard that shows it.
    pub(super) shard: u16,
}

/// Entries of one row: mostly one, which is kept in place.
#[derive(Debug)]
enum Ids {
    None,
    One([EntryId; 1]),
    Several(Vec<EntryId>),
}

impl Deref for Ids {
    type Target = [EntryId];

    fn deref(&self) -> &[EntryId] {
        match self {
            Self::None => &[],
            Self::One(one) => one,
            Self::Several(several) => several,
        }
    }
}

/// All entries of all Secrets, and the rows that they make.
#[derive(Debug, Default)]
pub(super) struct Entries<'a> {
    all: Vec<EntryOf<'a>>,
    /// How many kinds of entries there are.
    kinds: usize,
    pub(super) rows: Vec<RowOf<'a>>,
    /// The first entry of each Secret that is not malformed, in order.
    of_secret: Vec<(&'a ObjectRef, EntryId)>,
    /// The row of each malformed Secret, in order.
    malformed: Vec<(&'a ObjectRef, usize)>,
}

/// What stands for a Secret in a list that is in the order of Secrets.
fn find(sorted: &[(&ObjectRef, usize)], at: &ObjectRef) -> Option<usize> {
    let place = sorted.binary_search_by(|(known, _)| (*known).cmp(at)).ok()?;
    sorted.get(place).map(|(_, found)| *found)
}

impl<'a> Entries<'a> {
    pub(super) fn of(book: &'a Book) -> Self {
        let mut this = Self::default();
        this.all.reserve(book.secrets.len());
        this.rows.reserve(book.secrets.len());
        // By the address of contents, which live as long as the book is borrowed: the kind of their first entry.
        let mut kinds: HashMap<*const Contents, usize> = HashMap::new();
        for (at, record) in &book.secrets {
            if record.malformed.is_some() {
                this.malformed.push((at, this.rows.len()));
                let shard = book.shard().of_secret(at);
                this.rows.push(RowOf { at, record, entries: Ids::None, shard });
                continue;
            }
            this.of_secret.push((at, this.all.len()));
            if record.credentials.is_empty() {
                continue;
            }
            let kind = *kinds.entry(Arc::as_ptr(&record.contents)).or_insert(this.kinds);
            this.kinds = this.kinds.max(kind + record.credentials.len());
            if let [entry] = &*record.credentials {
                let entries = Ids::One([this.all.len()]);
                this.all.push(EntryOf { at, record, entry, row: this.rows.len(), kind });
                this.rows.push(RowOf { at, record, entries, shard: entry.shard });
                continue;
            }
            let mut by_registry: BTreeMap<&Arc<str>, Vec<EntryId>> = BTreeMap::new();
            for (nth, entry) in record.credentials.iter().enumerate() {
                by_registry.entry(&entry.written).or_default().push(this.all.len());
                this.all.push(EntryOf { at, record, entry, row: 0, kind: kind + nth });
            }
            for entries in by_registry.into_values() {
                for id in &entries {
                    this.all[*id].row = this.rows.len();
                }
                // As the book borrows: the first entry decides.
                let shard = entries.first().map_or(0, |first| this.all[*first].entry.shard);
                this.rows.push(RowOf { at, record, entries: Ids::Several(entries), shard });
            }
        }
        this
    }

    pub(super) fn get(&self, id: EntryId) -> &EntryOf<'a> {
        &self.all[id]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The first entry of a Secret; the others follow in the order of the decoder.
    pub(super) fn of_secret(&self, at: &ObjectRef) -> Option<EntryId> {
        find(&self.of_secret, at)
    }

    /// The row of a malformed Secret.
    pub(super) fn malformed_row(&self, at: &ObjectRef) -> Option<usize> {
        find(&self.malformed, at)
    }

    /// Entries of the Secrets of a namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (EntryId, &EntryOf<'a>)> {
        let start = self.all.partition_point(|entry| &*entry.at.namespace < namespace);
        let there = self.all[start..].iter().take_while(move |entry| &*entry.at.namespace == namespace);
        there.enumerate().map(move |(offset, entry)| (start + offset, entry))
    }
}

/// An entry with its status.
#[derive(Debug)]
pub(super) struct JudgedEntry<'l> {
    pub(super) status: Status,
    /// The login that the status is from: the worst, where a key with a glob stands for several.
    pub(super) login: Option<&'l LoginFacts>,
    /// What all its logins have to say.
    findings: Vec<&'l Finding>,
    /// Repositories that workloads need and that are proven denied.
    pub(super) denied: BTreeSet<String>,
    /// When the newest of these denials was proven.
    denied_at: Option<DateTime<Utc>>,
    /// A pull proved that it can pull what an anonymous pull cannot.
    pull_proven: bool,
    /// Expiry of its token as told by the issuer or by itself.
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Every entry judged. Entries that nothing tells apart, such as the copies of a token that nobody pulls with, are judged
/// once.
#[derive(Debug)]
pub(super) struct Judgements<'l> {
    distinct: Vec<JudgedEntry<'l>>,
    /// By entry: its place in `distinct`.
    of: Vec<usize>,
}

impl<'l> Index<EntryId> for Judgements<'l> {
    type Output = JudgedEntry<'l>;

    fn index(&self, id: EntryId) -> &JudgedEntry<'l> {
        &self.distinct[self.of[id]]
    }
}

/// All that a judgement of an entry hangs on.
#[derive(PartialEq, Eq, Hash)]
struct Circumstances<'a> {
    logins: &'a [LoginId],
    anonymous: bool,
    listed: bool,
    unsupported: bool,
    self_described_expiry: Option<DateTime<Utc>>,
    needed: &'a BTreeSet<ImageId>,
}

/// Judge every entry.
pub(super) fn judge_entries<'l>(
    inputs: &Inputs<'_>,
    entries: &Entries<'_>,
    images: &Images<'_>,
    pulls: &Pulls<'_>,
    logins: &'l Logins,
    now: DateTime<Utc>,
) -> Judgements<'l> {
    let judge_one = |entry: &Circumstances<'_>| {
        let mut judged = JudgedEntry {
            status: Status::Valid,
            login: None,
            findings: Vec::new(),
            denied: BTreeSet::new(),
            denied_at: None,
            pull_proven: false,
            expires_at: entry.self_described_expiry,
        };
        let asked: Vec<Option<LoginId>> =
            if entry.logins.is_empty() { vec![None] } else { entry.logins.iter().copied().map(Some).collect() };
        for (nth, login) in asked.into_iter().enumerate() {
            let facts = login.and_then(|login| logins.get(login));
            let needed = needed_accesses(inputs, images, entry.needed, login, &mut judged);
            let expires_at = facts.and_then(|facts| facts.expires_at).or(entry.self_described_expiry);
            let status = judge(
                &Judged {
                    malformed: false,
                    anonymous: entry.anonymous,
                    ignored: !entry.listed,
                    login: facts.map(|facts| &facts.view),
                    expires_at,
                    unsupported_kind: entry.unsupported,
                    pull_scope_missing: facts.is_some_and(|facts| facts.pull_scope_missing),
                    pull_proven: needed.pull_proven,
                    accesses: &needed.accesses,
                },
                facts.and_then(|facts| facts.date).unwrap_or(now),
            );
            // What another shard asks about is not known here, whatever the text tells.
            let status = if login.is_some() && facts.is_none() { Status::Unverified } else { status };
            judged.findings.extend(facts.iter().flat_map(|facts| &facts.findings));
            judged.pull_proven |= needed.pull_proven;
            if nth == 0 || judged.status.worse(status) != judged.status {
                judged.status = judged.status.worse(status);
                judged.login = facts;
                judged.expires_at = expires_at;
            }
        }
        judged
    };
    let mut all = Judgements { distinct: Vec::new(), of: Vec::with_capacity(entries.len()) };
    let mut known: HashMap<Circumstances<'_>, usize> = HashMap::new();
    // Entries of one kind that nobody needs have the same circumstances.
    let mut unneeded: Vec<Option<usize>> = vec![None; entries.kinds];
    for (id, EntryOf { entry, kind, .. }) in entries.all.iter().enumerate() {
        let needed = pulls.needed(id);
        if let Some(place) = unneeded[*kind].filter(|_| needed.is_empty()) {
            all.of.push(place);
            continue;
        }
        let unsupported = entry.findings.iter().any(|finding| finding.kind == FindingKind::UnsupportedTokenKind);
        let circumstances = Circumstances {
            logins: &entry.logins,
            anonymous: entry.anonymous,
            listed: entry.listed,
            unsupported,
            self_described_expiry: entry.self_described_expiry,
            needed,
        };
        let place = *known.entry(circumstances).or_insert_with_key(|circumstances| {
            all.distinct.push(judge_one(circumstances));
            all.distinct.len() - 1
        });
        all.of.push(place);
        if needed.is_empty() {
            unneeded[*kind] = Some(place);
        }
    }
    all
}

struct Needed {
    accesses: Vec<AccessView>,
    pull_proven: bool,
}

/// What is proven of the accesses that workloads need of a login.
fn needed_accesses(
    inputs: &Inputs<'_>,
    images: &Images<'_>,
    needed: &BTreeSet<ImageId>,
    login: Option<LoginId>,
    judged: &mut JudgedEntry<'_>,
) -> Needed {
    let mut all = Needed { accesses: Vec::new(), pull_proven: false };
    let Some(login) = login.and_then(|id| inputs.book.logins.get(&id)) else { return all };
    let host = &login.registry.host;
    let here = needed.iter().map(|id| images.get(*id)).filter(|image| image.host.as_ref() == Some(host));
    let paths: BTreeSet<&str> = here.filter_map(|image| Some(image.name.as_ref().ok()?.path())).collect();
    for path in paths {
        let access = inputs.ledger.access(Some(login.id), host, path);
        let anonymous = || inputs.ledger.access(None, host, path).granted;
        all.pull_proven |= access.granted == Some(true) && anonymous() == Some(false);
        if access.granted == Some(false) {
            judged.denied.insert(format!("{host}/{path}"));
            judged.denied_at = judged.denied_at.max(access.last_verdict_at);
        }
        all.accesses.push(access);
    }
    all
}

/// The facts of rows with one entry.
struct Known {
    /// By kind, where no workload presents the credential: entries of one kind are judged alike then.
    idle: Vec<Option<Arc<CredentialFacts>>>,
    /// By kind and judgement, where one does.
    presented: HashMap<(usize, usize), Arc<CredentialFacts>>,
}

/// The rows, in order.
pub(super) fn rows(
    inputs: &Inputs<'_>,
    entries: &Entries<'_>,
    pulls: &Pulls<'_>,
    judged: &Judgements<'_>,
    workloads: &Workloads,
) -> (Vec<CredentialRow>, Vec<Copies>) {
    let mut maker = Maker {
        entries,
        judged,
        copies: copies(inputs.book, entries),
        known: Known { idle: vec![None; entries.kinds], presented: HashMap::new() },
        token_ids: HashMap::new(),
        nothing: "".into(),
    };
    let rows = entries.rows.iter().enumerate();
    let mut rows: Vec<CredentialRow> = rows.map(|(index, row)| maker.row(row, pulls.presented(index))).collect();
    let mut more: BTreeMap<usize, Vec<Finding>> = sync::out_of_sync(inputs.book, entries, &rows);
    for (row, finding) in workloads.later_credential_only.iter().chain(&workloads.contradicted) {
        more.entry(*row).or_default().push(finding.clone());
    }
    for (row, more) in more {
        let row = &mut rows[row];
        row.findings = one_per_kind(row.findings.iter().cloned().chain(more).collect());
    }
    let copies = maker.several();
    parts::shown(inputs.book.shard(), entries, rows, copies)
}

/// In order, with one series and one line per kind: the worst.
fn one_per_kind(mut findings: Vec<Finding>) -> Box<[Finding]> {
    findings::sort(&mut findings);
    let mut seen = HashSet::new();
    findings.retain(|finding| seen.insert(finding.kind));
    findings.into()
}

/// Makes rows.
struct Maker<'m, 'a> {
    entries: &'m Entries<'a>,
    judged: &'m Judgements<'m>,
    copies: Places<'a>,
    known: Known,
    token_ids: HashMap<TokenId, Arc<str>>,
    nothing: Arc<str>,
}

impl<'a> Maker<'_, 'a> {
    fn row(&mut self, row: &RowOf<'a>, workloads: usize) -> CredentialRow {
        // Of several entries the first of the worst speaks for the row.
        let worst = row.entries.iter().copied().reduce(|lead, id| {
            let (best, other) = (self.judged[lead].status, self.judged[id].status);
            if best.worse(other) == best { lead } else { id }
        });
        let facts = match worst {
            None => Arc::new(self.malformed(row)),
            Some(lead) => self.facts(row, lead, workloads > 0),
        };
        let (secret_namespace, secret_name) = (Arc::clone(&row.at.namespace), Arc::clone(&row.at.name));
        CredentialRow { secret_namespace, secret_name, workloads, facts }
    }

    fn facts(&mut self, row: &RowOf<'a>, lead: EntryId, presented: bool) -> Arc<CredentialFacts> {
        let [only] = *row.entries else { return Arc::new(self.facts_of(row, lead, presented)) };
        let (kind, judgement) = (self.entries.get(only).kind, self.judged.of[only]);
        let known =
            if presented { self.known.presented.get(&(kind, judgement)) } else { self.known.idle[kind].as_ref() };
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let facts = Arc::new(self.facts_of(row, lead, presented));
        if presented {
            self.known.presented.insert((kind, judgement), Arc::clone(&facts));
        } else {
            self.known.idle[kind] = Some(Arc::clone(&facts));
        }
        facts
    }

    fn malformed(&self, row: &RowOf<'_>) -> CredentialFacts {
        CredentialFacts {
            registry: Arc::clone(&self.nothing),
            username: Arc::clone(&self.nothing),
            token_kind: None,
            token_owner: Arc::clone(&self.nothing),
            token_id: Arc::clone(&self.nothing),
            status: Status::Malformed,
            expires_at: None,
            expiry_known: None,
            last_probe_at: None,
            last_verdict_at: None,
            scopes: None,
            missing_scopes: None,
            excess_scopes: None,
            copies: 1,
            findings: one_per_kind(row.record.findings.clone()),
            evidence: Arc::default(),
            entries: 1,
            siblings: 0,
            denied: Box::default(),
            denied_at: None,
        }
    }

    fn facts_of(&mut self, row: &RowOf<'a>, lead: EntryId, presented: bool) -> CredentialFacts {
        let (entry, verdict) = (self.entries.get(lead).entry, &self.judged[lead]);
        let login = verdict.login;
        let view = login.map(|login| &login.view);
        // With a user name, only an empty password makes a credential anonymous.
        let no_password = entry.anonymous && !entry.username.is_empty();
        CredentialFacts {
            registry: Arc::clone(&entry.written),
            username: Arc::clone(&entry.username),
            token_kind: Some(entry.kind),
            token_owner: Arc::clone(login.map_or(&self.nothing, |login| &login.owner)),
            token_id: if no_password { Arc::clone(&self.nothing) } else { self.token_id(entry.token) },
            status: verdict.status,
            expires_at: verdict.expires_at,
            expiry_known: verdict.expires_at.map(|_| true).or(login.and_then(|login| login.expiry_known)),
            last_probe_at: view.and_then(|view| view.last_probe_at),
            last_verdict_at: view.and_then(|view| view.last_verdict_at),
            scopes: login.and_then(|login| login.scopes.clone()),
            missing_scopes: login.and_then(|login| login.missing_scopes.clone()),
            excess_scopes: login.and_then(|login| login.excess_scopes.clone()),
            copies: if no_password { 1 } else { self.copies.of(lead).map_or(1, |place| place.rows.len()) },
            findings: self.findings(row, presented),
            evidence: login.map(|login| Arc::clone(&login.evidence)).unwrap_or_default(),
            entries: row.entries.len(),
            siblings: row.record.credentials.len().saturating_sub(row.entries.len()),
            denied: verdict.denied.iter().map(|repository| Arc::from(&**repository)).collect(),
            denied_at: verdict.denied_at,
        }
    }

    fn token_id(&mut self, token: TokenId) -> Arc<str> {
        Arc::clone(self.token_ids.entry(token).or_insert_with(|| token.to_string().into()))
    }

    fn findings(&self, row: &RowOf<'a>, presented: bool) -> Box<[Finding]> {
        let mut findings = Vec::new();
        for id in row.entries.iter() {
            findings.extend(text_findings(self.entries.get(*id).entry, &self.judged[*id], presented));
            findings.extend(self.judged[*id].findings.iter().copied().cloned());
        }
        if row.entries.len() > 1 && !findings.iter().any(|finding| finding.kind == FindingKind::AmbiguousKey) {
            findings.push(findings::ambiguous_key(row.entries.len()));
        }
        one_per_kind(findings)
    }

    /// The tokens that stand in more than one row, in the order of the first.
    fn several(&mut self) -> Vec<Copies> {
        let places = std::mem::take(&mut self.copies.all);
        let mut several: Vec<Copies> = places
            .into_iter()
            .filter(|place| place.rows.len() > 1)
            .map(|Place { token, host, rows }| Copies {
                token_id: self.token_id(token),
                registry: host.into(),
                credentials: rows,
            })
            .collect();
        several.sort_by(|a, b| (&a.credentials, &a.token_id).cmp(&(&b.credentials, &b.token_id)));
        several
    }
}

/// The findings of the text, as far as they stand in the light of what else is known.
fn text_findings(entry: &CredentialEntry, judged: &JudgedEntry<'_>, presented: bool) -> Vec<Finding> {
    let stands = |finding: &&Finding| finding.kind != FindingKind::UnusualKey || !presented;
    let mut findings: Vec<Finding> = entry.findings.iter().filter(stands).cloned().collect();
    if judged.pull_proven {
        for finding in findings.iter_mut().filter(|finding| finding.kind == FindingKind::UnsupportedTokenKind) {
            finding.severity = Severity::Info;
        }
    }
    findings
}

/// The registry of an entry, however its key is written.
fn host<'b>(book: &'b Book, entry: &'b CredentialEntry) -> &'b str {
    let login = entry.logins.first().and_then(|login| book.logins.get(login));
    match (login, &entry.key) {
        (Some(login), _) => &login.registry.host,
        (None, Some(key)) => key.host(),
        (None, None) => &entry.written,
    }
}

/// One token at one registry, and the rows in which it stands, in order.
#[derive(Debug)]
struct Place<'b> {
    token: TokenId,
    host: &'b str,
    rows: Vec<usize>,
}

/// Rows per token and registry.
#[derive(Debug)]
struct Places<'b> {
    all: Vec<Place<'b>>,
    /// By entry: its place in `all`.
    of: Vec<Option<usize>>,
}

impl<'b> Places<'b> {
    fn of(&self, entry: EntryId) -> Option<&Place<'b>> {
        self.all.get((*self.of.get(entry)?)?)
    }
}

fn copies<'b>(book: &'b Book, entries: &Entries<'b>) -> Places<'b> {
    let mut copies = Places { all: Vec::new(), of: Vec::with_capacity(entries.len()) };
    let mut known: HashMap<(TokenId, &str), usize> = HashMap::new();
    let mut of_kind: Vec<Option<usize>> = vec![None; entries.kinds];
    for EntryOf { entry, row, kind, .. } in &entries.all {
        // An empty password is no token, however many credentials lack one.
        if entry.anonymous && !entry.username.is_empty() {
            copies.of.push(None);
            continue;
        }
        let place = *of_kind[*kind].get_or_insert_with(|| {
            let (token, host) = (entry.token, host(book, entry));
            *known.entry((token, host)).or_insert_with(|| {
                copies.all.push(Place { token, host, rows: Vec::new() });
                copies.all.len() - 1
            })
        });
        copies.all[place].rows.push(*row);
        copies.of.push(Some(place));
    }
    for place in &mut copies.all {
        // Entries of one Secret need not be in the order of its rows.
        place.rows.sort_unstable();
        place.rows.dedup();
        place.rows.shrink_to_fit();
    }
    copies
}
