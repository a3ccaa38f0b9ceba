//! The Lease that decides which of several replicas probes.
//!
//! Its holder renews it, the others look at it and take it when it was not renewed for its whole duration, or was given up.
//! A holder that cannot renew stops by itself before another may begin: [`Tenure`] ends by the time, not by a message. This
//! room says who may; it never probes, and never knows what the others do.

mod elector;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub use self::elector::Term;
use self::elector::{Elector, Record, Standing, Step};
use super::{MissingPermission, Resource, SharedInventory};

/// Looks and renewals per duration of the Lease.
const LOOKS: u32 = 10;
/// A request to the API server may take this part of the duration (1 in 5), and this long at most.
const REQUEST: (u32, Duration) = (5, Duration::from_secs(5));
/// How long giving up the Lease may take when the process ends.
const RELEASE: Duration = Duration::from_secs(3);

/// Why a Lease was not read or written: the label `reason`.
pub const LEASE_ERROR_REASONS: [&str; 4] = ["conflict", "forbidden", "no_namespace", "unreachable"];

/// Which Lease, and who wants it.
#[derive(Clone, Debug)]
pub struct Candidacy {
    /// Namespace of the Lease; empty: that of the pod, or of the kubeconfig's context.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How long it keeps others away without a renewal.
    pub duration: Duration,
    /// A name that no other candidate has.
    pub identity: String,
}

/// Who counts what goes wrong with the Lease.
pub trait LeaseObserver: Send + Sync {
    /// It could not be read or written, for one of [`LEASE_ERROR_REASONS`].
    fn error(&self, reason: &'static str);
}

/// Who probes, as far as this candidate may believe it.
#[derive(Clone, Debug, Default)]
pub enum Leadership {
    /// Nobody is known to. Whoever was told to probe before, and has no successor, may still show what he knows.
    #[default]
    Nobody,
    /// Another candidate was seen to hold the Lease.
    Other(Arc<str>),
    /// We do, for as long as the tenure holds.
    Us(Tenure),
}

/// The right to probe. It ends by itself when the Lease is not renewed in time.
#[derive(Clone, Debug)]
pub struct Tenure {
    term: Term,
    until: watch::Receiver<Option<Instant>>,
}

impl Tenure {
    /// Which unbroken time of holding the Lease it belongs to.
    pub fn term(&self) -> &Term {
        &self.term
    }

    /// Whether it holds at this very moment.
    pub fn holds(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Wait for its end.
    pub async fn ended(&self) {
        let mut until = self.until.clone();
        loop {
            let Some(at) = *until.borrow_and_update() else { return };
            if Instant::now() >= at {
                return;
            }
            tokio::select! {
                () = sleep_until(at) => {}
                changed = until.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Wait until it holds again, after its end came by the time alone; for ever where it never does.
    pub async fn resumed(&self) {
        let mut until = self.until.clone();
        while !self.holds() {
            if until.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// What holds a tenure: dropped, it ends.
struct Hold {
    term: Term,
    until: watch::Sender<Option<Instant>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Those who look at it would go on seeing what was there last.
        self.until.send_replace(None);
    }
}

/// A candidate at work.
struct Campaign<'a, O> {
    api: Api<Lease>,
    candidacy: &'a Candidacy,
    namespace: Arc<str>,
    elector: Elector,
    hold: Option<Hold>,
    shared: &'a SharedInventory,
    observer: &'a O,
    /// What went wrong last, so that the log tells it once.
    trouble: Option<&'static str>,
}

/// Be a candidate until told to stop, then give the Lease up. What becomes of it is told to `tell`.
///
/// Nothing ends a campaign: without a permission, or without an API server, it goes on trying.
pub async fn campaign(
    client: kube::Client,
    candidacy: &Candidacy,
    shared: &SharedInventory,
    observer: &impl LeaseObserver,
    tell: &watch::Sender<Leadership>,
    stop: CancellationToken,
) {
    let namespace =
        if candidacy.namespace.is_empty() { client.default_namespace() } else { &candidacy.namespace }.to_owned();
    let mut campaign = Campaign {
        api: Api::namespaced(client, &namespace),
        namespace: namespace.into(),
        elector: Elector::new(candidacy.identity.clone(), candidacy.duration),
        hold: None,
        candidacy,
        shared,
        observer,
        trouble: None,
    };
    loop {
        let next = {
            let mut round = std::pin::pin!(campaign.round(Instant::now()));
            tokio::select! {
                next = &mut round => Some(next),
                // A renewal that is cut may be taken all the same, and then the Lease could not be given up.
                () = stop.cancelled() => timeout(RELEASE, round).await.ok(),
            }
        };
        campaign.tell(tell);
        let Some(next) = next else { break };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = sleep_until(next) => {}
        }
    }
    campaign.give_up(tell).await;
}

impl<O: LeaseObserver> Campaign<'_, O> {
    /// Look, and renew or take the Lease if that is our turn. Returns when to look again.
    async fn round(&mut self, begun: Instant) -> Instant {
        let look = begun + self.candidacy.duration / LOOKS;
        // A holder writes over what it wrote last, without reading it anew; whatever else was written shows as a conflict.
        let holds = matches!(self.elector.standing(begun), Standing::Us(..));
        if !holds && !self.look().await {
            return look;
        }
        let sent = Instant::now();
        let (verb, record) = match self.elector.step(sent, Timestamp::now()) {
            // Whoever waits does not all come at one moment: each looks when it saw the Lease change.
            Step::Wait(free) => return look.min(free),
            Step::Create(record) => ("create", record),
            Step::Update(record) => ("update", record),
        };
        let object = object(&self.candidacy.name, &record);
        let params = PostParams::default();
        let written = match verb {
            "create" => self.ask(verb, self.api.create(&params, &object)).await,
            _ => self.ask(verb, self.api.replace(&self.candidacy.name, &params, &object)).await,
        };
        match written {
            Ok(lease) => {
                self.elector.wrote(read(&lease), sent);
                self.well(&["create", "update"]);
            }
            Err("conflict") => {
                // Another was quicker: who it is must be known at once.
                self.look().await;
            }
            Err(_) => {}
        }
        look
    }

    /// Read the Lease; whether that went well.
    async fn look(&mut self) -> bool {
        let found = self.ask("get", self.api.get_opt(&self.candidacy.name)).await;
        let Ok(found) = found else { return false };
        self.elector.saw(found.as_ref().map(read), Instant::now());
        self.well(&["get"]);
        true
    }

    async fn ask<T>(
        &self,
        verb: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, &'static str> {
        let (share, most) = REQUEST;
        let (reason, cause) = match timeout((self.candidacy.duration / share).min(most), request).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(kube::Error::Api(status))) => {
                let reason = match status.code {
                    403 => "forbidden",
                    404 if verb == "create" => "no_namespace",
                    // With 404 it went meanwhile: the next look finds none.
                    404 | 409 => "conflict",
                    _ => "unreachable",
                };
                (reason, status.message.clone())
            }
            Ok(Err(error)) => ("unreachable", error.to_string()),
            Err(elapsed) => ("unreachable", elapsed.to_string()),
        };
        self.observer.error(reason);
        let (name, namespace) = (&self.candidacy.name, &self.namespace);
        if reason == "forbidden" {
            let missing = MissingPermission::new(Resource::Leases, verb, Arc::clone(namespace));
            self.shared.update(|inventory| inventory.missing_permissions.insert(missing));
        }
        if self.trouble == Some(reason) || reason == "conflict" {
            tracing::debug!(lease = name, %namespace, verb, reason, cause, "the Lease could not be read or written");
        } else {
            tracing::warn!(
                lease = name, %namespace, verb, reason, cause,
                "the Lease could not be read or written; trying again. Without it this replica does not probe"
            );
        }
        Err(reason)
    }

    /// These verbs were granted.
    fn well(&mut self, verbs: &[&'static str]) {
        self.trouble = None;
        let granted = |rule: &MissingPermission| rule.resource == Resource::Leases && verbs.contains(&rule.verb);
        self.shared.update(|inventory| {
            let before = inventory.missing_permissions.len();
            inventory.missing_permissions.retain(|rule| !granted(rule));
            before != inventory.missing_permissions.len()
        });
    }

    /// Tell how it stands, where that is news.
    fn tell(&mut self, tell: &watch::Sender<Leadership>) {
        let name = &self.candidacy.name;
        let next = match self.elector.standing(Instant::now()) {
            Standing::Us(term, until) => {
                if let Some(hold) = self.hold.as_ref().filter(|hold| hold.term == *term) {
                    hold.until.send_replace(Some(until));
                    if matches!(&*tell.borrow(), Leadership::Us(_)) {
                        return;
                    }
                    tracing::info!(lease = name, "the Lease is renewed again: this replica goes on probing");
                } else {
                    tracing::info!(lease = name, identity = %self.candidacy.identity, "holds the Lease: this replica probes");
                    self.hold = Some(Hold { term: term.clone(), until: watch::Sender::new(Some(until)) });
                }
                let Some(hold) = &self.hold else { return };
                Leadership::Us(Tenure { term: hold.term.clone(), until: hold.until.subscribe() })
            }
            Standing::Other(holder) => {
                // A term that another followed never comes back.
                self.hold = None;
                if matches!(&*tell.borrow(), Leadership::Other(known) if **known == *holder) {
                    return;
                }
                tracing::info!(lease = name, holder, "another replica holds the Lease: this one stands by");
                Leadership::Other(holder.into())
            }
            Standing::Nobody => {
                if matches!(&*tell.borrow(), Leadership::Nobody) {
                    return;
                }
                if let Some(hold) = &self.hold {
                    hold.until.send_replace(None);
                    tracing::warn!(lease = name, "the Lease could not be renewed in time: this replica stops probing");
                }
                Leadership::Nobody
            }
        };
        tell.send_replace(next);
    }

    /// Give the Lease up, so that nobody has to wait for its end.
    async fn give_up(&mut self, tell: &watch::Sender<Leadership>) {
        self.hold = None;
        tell.send_replace(Leadership::Nobody);
        let Some(record) = self.elector.release(Timestamp::now()) else { return };
        let object = object(&self.candidacy.name, &record);
        let params = PostParams::default();
        let released = timeout(RELEASE, self.api.replace(&self.candidacy.name, &params, &object)).await;
        if matches!(released, Ok(Ok(_))) {
            tracing::info!(lease = self.candidacy.name, "gave the Lease up");
        } else {
            tracing::warn!(
                lease = self.candidacy.name,
                "the Lease could not be given up: another replica takes it when it ends"
            );
        }
    }
}

/// What an object says.
fn read(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        acquired: spec.acquire_time.map(|time| time.0),
        renewed: spec.renew_time.map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or_default(),
        version: lease.metadata.resource_version.clone(),
    }
}

/// The object of a record. Times are written in microseconds, and read back so.
fn object(name: &str, record: &Record) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: record.version.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(record.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(record.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: record.acquired.map(MicroTime),
            renew_time: record.renewed.map(MicroTime),
            lease_transitions: Some(record.transitions),
            ..LeaseSpec::default()
        }),
    }
}
