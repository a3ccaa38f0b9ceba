//! Rows of credentials: one per Secret and registry key.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::build::Inputs;
use super::findings;
use super::images::{ImageId, Images};
use super::logins::{LoginFacts, Logins};
use super::workloads::{Pulls, Workloads};
use super::{Copies, CredentialRow};
use crate::cluster::ObjectRef;
use crate::credential::{Finding, FindingKind, Severity};
use crate::plan::{Book, CredentialEntry, LoginId, SecretRecord, TokenId};
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
}

/// One row: a Secret and a registry key, or a malformed Secret.
#[derive(Debug)]
pub(super) struct RowOf<'a> {
    at: &'a ObjectRef,
    record: &'a SecretRecord,
    pub(super) registry: Arc<str>,
    /// None for a malformed Secret.
    entries: Vec<EntryId>,
}

/// All entries of all Secrets, and the rows that they make.
#[derive(Debug, Default)]
pub(super) struct Entries<'a> {
    all: Vec<EntryOf<'a>>,
    pub(super) rows: Vec<RowOf<'a>>,
    of_secret: HashMap<&'a ObjectRef, EntryId>,
    malformed: HashMap<&'a ObjectRef, usize>,
}

impl<'a> Entries<'a> {
    pub(super) fn of(book: &'a Book) -> Self {
        let mut this = Self::default();
        let mut names = Interner::default();
        for (at, record) in &book.secrets {
            if record.malformed.is_some() {
                this.malformed.insert(at, this.rows.len());
                this.rows.push(RowOf { at, record, registry: names.intern(""), entries: Vec::new() });
                continue;
            }
            let start = this.all.len();
            let mut by_registry: BTreeMap<&str, Vec<EntryId>> = BTreeMap::new();
            for entry in &record.credentials {
                by_registry.entry(&entry.written).or_default().push(this.all.len());
                this.all.push(EntryOf { at, record, entry, row: 0 });
            }
            for (registry, entries) in by_registry {
                for id in &entries {
                    this.all[*id].row = this.rows.len();
                }
                this.rows.push(RowOf { at, record, registry: names.intern(registry), entries });
            }
            this.of_secret.insert(at, start);
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
        self.of_secret.get(at).copied()
    }

    /// The row of a malformed Secret.
    pub(super) fn malformed_row(&self, at: &ObjectRef) -> Option<usize> {
        self.malformed.get(at).copied()
    }

    /// Entries of the Secrets of a namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (EntryId, &EntryOf<'a>)> {
        let start = self.all.partition_point(|entry| &*entry.at.namespace < namespace);
        let there = self.all[start..].iter().take_while(move |entry| &*entry.at.namespace == namespace);
        there.enumerate().map(move |(offset, entry)| (start + offset, entry))
    }
}

/// Shares equal texts.
#[derive(Debug, Default)]
struct Interner(HashSet<Arc<str>>);

impl Interner {
    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
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
    /// A pull proved that it can pull what an anonymous pull cannot.
    pull_proven: bool,
    /// Expiry of its token as told by the issuer or by itself.
    pub(super) expires_at: Option<DateTime<Utc>>,
}

/// Judge every entry.
pub(super) fn judge_entries<'l>(
    inputs: &Inputs<'_>,
    entries: &Entries<'_>,
    images: &Images<'_>,
    pulls: &Pulls<'_>,
    logins: &'l Logins,
    now: DateTime<Utc>,
) -> Vec<JudgedEntry<'l>> {
    let judge_one = |id: EntryId| {
        let entry = entries.get(id).entry;
        let unsupported = entry.findings.iter().any(|finding| finding.kind == FindingKind::UnsupportedTokenKind);
        let mut judged = JudgedEntry {
            status: Status::Valid,
            login: None,
            findings: Vec::new(),
            denied: BTreeSet::new(),
            pull_proven: false,
            expires_at: entry.self_described_expiry,
        };
        let asked: Vec<Option<LoginId>> =
            if entry.logins.is_empty() { vec![None] } else { entry.logins.iter().copied().map(Some).collect() };
        for (nth, login) in asked.into_iter().enumerate() {
            let facts = login.and_then(|login| logins.get(login));
            let needed = needed_accesses(inputs, images, pulls.needed(id), login, &mut judged);
            let expires_at = facts.and_then(|facts| facts.expires_at).or(entry.self_described_expiry);
            let status = judge(
                &Judged {
                    malformed: false,
                    anonymous: entry.anonymous,
                    ignored: !entry.listed,
                    login: facts.map(|facts| &facts.view),
                    expires_at,
                    unsupported_kind: unsupported,
                    pull_scope_missing: facts.is_some_and(|facts| facts.pull_scope_missing),
                    pull_proven: needed.pull_proven,
                    accesses: &needed.accesses,
                },
                facts.and_then(|facts| facts.date).unwrap_or(now),
            );
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
    (0..entries.len()).map(judge_one).collect()
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
        }
        all.accesses.push(access);
    }
    all
}

/// The rows, in order.
pub(super) fn rows(
    inputs: &Inputs<'_>,
    entries: &Entries<'_>,
    pulls: &Pulls<'_>,
    judged: &[JudgedEntry<'_>],
    workloads: &Workloads,
) -> (Vec<CredentialRow>, Vec<Copies>) {
    let mut names = Interner::default();
    let copies = copies(inputs.book, entries);
    let mut rows: Vec<CredentialRow> = entries
        .rows
        .iter()
        .enumerate()
        .map(|(index, row)| {
            let workloads = pulls.presented(index);
            // Of several entries the first of the worst speaks for the row.
            let worst = row.entries.iter().copied().reduce(|lead, id| {
                let (best, other) = (judged[lead].status, judged[id].status);
                if best.worse(other) == best { lead } else { id }
            });
            match worst {
                None => malformed(row, workloads, &mut names),
                Some(lead) => one_row(inputs.book, entries, row, lead, judged, workloads, &copies, &mut names),
            }
        })
        .collect();
    out_of_sync(inputs.book, entries, &mut rows);
    for (row, finding) in workloads.later_credential_only.iter().chain(&workloads.contradicted) {
        rows[*row].findings.push(finding.clone());
    }
    for row in &mut rows {
        findings::sort(&mut row.findings);
        // One series and one line per kind.
        let mut seen = HashSet::new();
        row.findings.retain(|finding| seen.insert(finding.kind));
    }
    let copies = several(&copies, &mut names);
    (rows, copies)
}

fn malformed(row: &RowOf<'_>, workloads: usize, names: &mut Interner) -> CredentialRow {
    CredentialRow {
        secret_namespace: Arc::clone(&row.at.namespace),
        secret_name: Arc::clone(&row.at.name),
        registry: Arc::clone(&row.registry),
        username: names.intern(""),
        token_kind: None,
        token_owner: names.intern(""),
        token_id: names.intern(""),
        status: Status::Malformed,
        expires_at: None,
        expiry_known: None,
        last_probe_at: None,
        last_verdict_at: None,
        scopes: None,
        missing_scopes: None,
        excess_scopes: None,
        copies: 1,
        workloads,
        findings: row.record.findings.clone(),
        evidence: Arc::default(),
        entries: 1,
        siblings: 0,
        denied: Vec::new(),
    }
}

#[expect(clippy::too_many_arguments, reason = "one row draws on all of it, and nothing else takes the same")]
fn one_row(
    book: &Book,
    entries: &Entries<'_>,
    row: &RowOf<'_>,
    lead: EntryId,
    judged: &[JudgedEntry<'_>],
    workloads: usize,
    copies: &Places<'_>,
    names: &mut Interner,
) -> CredentialRow {
    let (entry, verdict) = (entries.get(lead).entry, &judged[lead]);
    let login = verdict.login;
    let view = login.map(|login| &login.view);
    let mut findings = Vec::new();
    for id in &row.entries {
        findings.extend(text_findings(entries.get(*id).entry, &judged[*id], workloads));
        findings.extend(judged[*id].findings.iter().copied().cloned());
    }
    if row.entries.len() > 1 && !findings.iter().any(|finding| finding.kind == FindingKind::AmbiguousKey) {
        findings.push(findings::ambiguous_key(row.entries.len()));
    }
    // With a user name, only an empty password makes a credential anonymous.
    let no_password = entry.anonymous && !entry.username.is_empty();
    CredentialRow {
        secret_namespace: Arc::clone(&row.at.namespace),
        secret_name: Arc::clone(&row.at.name),
        registry: Arc::clone(&row.registry),
        username: names.intern(&entry.username),
        token_kind: Some(entry.kind),
        token_owner: login.map_or_else(|| names.intern(""), |login| Arc::clone(&login.owner)),
        token_id: if no_password { names.intern("") } else { names.intern(&entry.token.to_string()) },
        status: verdict.status,
        expires_at: verdict.expires_at,
        expiry_known: verdict.expires_at.map(|_| true).or(login.and_then(|login| login.expiry_known)),
        last_probe_at: view.and_then(|view| view.last_probe_at),
        last_verdict_at: view.and_then(|view| view.last_verdict_at),
        scopes: login.and_then(|login| login.scopes.clone()),
        missing_scopes: login.and_then(|login| login.missing_scopes.clone()),
        excess_scopes: login.and_then(|login| login.excess_scopes.clone()),
        copies: if no_password { 1 } else { copies.get(&(entry.token, host(book, entry))).map_or(1, Vec::len) },
        workloads,
        findings,
        evidence: login.map(|login| Arc::clone(&login.evidence)).unwrap_or_default(),
        entries: row.entries.len(),
        siblings: row.record.credentials.len().saturating_sub(row.entries.len()),
        denied: verdict.denied.iter().map(|repository| names.intern(repository)).collect(),
    }
}

/// The findings of the text, as far as they stand in the light of what else is known.
fn text_findings(entry: &CredentialEntry, judged: &JudgedEntry<'_>, workloads: usize) -> Vec<Finding> {
    let stands = |finding: &&Finding| finding.kind != FindingKind::UnusualKey || workloads == 0;
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

/// Rows per token and registry.
type Places<'b> = HashMap<(TokenId, &'b str), Vec<usize>>;

fn copies<'b>(book: &'b Book, entries: &Entries<'b>) -> Places<'b> {
    let mut copies = Places::new();
    // An empty password is no token, however many credentials lack one.
    let is_token = |entry: &CredentialEntry| !entry.anonymous || entry.username.is_empty();
    for entry in entries.all.iter().filter(|entry| is_token(entry.entry)) {
        copies.entry((entry.entry.token, host(book, entry.entry))).or_default().push(entry.row);
    }
    for rows in copies.values_mut() {
        rows.sort_unstable();
        rows.dedup();
    }
    copies
}

/// The tokens that stand in more than one row, in the order of the first.
fn several(places: &Places<'_>, names: &mut Interner) -> Vec<Copies> {
    let mut several: Vec<Copies> = places
        .iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|((token, host), places)| Copies {
            token_id: names.intern(&token.to_string()),
            registry: names.intern(host),
            credentials: places.clone(),
        })
        .collect();
    several.sort_by(|a, b| (&a.credentials, &a.token_id).cmp(&(&b.credentials, &b.token_id)));
    several
}

/// A refused credential, while another Secret with the same registry and the same user or Secret name holds one that works.
fn out_of_sync(book: &Book, entries: &Entries<'_>, rows: &mut [CredentialRow]) {
    let host_of = |row: usize| {
        let first = entries.rows[row].entries.first()?;
        Some(host(book, entries.get(*first).entry))
    };
    // Two are enough: one of them is in another Secret than the one that is looked at.
    let of_two_secrets = |known: &mut Vec<usize>, index: usize| {
        if known.len() < 2 && known.iter().all(|row| entries.rows[*row].at != entries.rows[index].at) {
            known.push(index);
        }
    };
    let mut by_user: HashMap<(&str, Arc<str>), Vec<usize>> = HashMap::new();
    let mut by_name: HashMap<(&str, Arc<str>), Vec<usize>> = HashMap::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.status == Status::Valid) {
        let Some(host) = host_of(index) else { continue };
        if !row.username.is_empty() && &*row.username != "redacted" {
            of_two_secrets(by_user.entry((host, Arc::clone(&row.username))).or_default(), index);
        }
        of_two_secrets(by_name.entry((host, Arc::clone(&row.secret_name))).or_default(), index);
    }
    for (index, row) in rows.iter_mut().enumerate() {
        if !matches!(row.status, Status::Expired | Status::Rejected) {
            continue;
        }
        let Some(host) = host_of(index) else { continue };
        let same_name = by_name.get(&(host, Arc::clone(&row.secret_name)));
        let same_user = by_user.get(&(host, Arc::clone(&row.username)));
        let mut copies = [same_name, same_user].into_iter().flatten().flatten().map(|copy| entries.rows[*copy].at);
        if let Some(copy) = copies.find(|copy| *copy != entries.rows[index].at) {
            row.findings.push(findings::out_of_sync_copy(&copy.to_string()));
        }
    }
}
