//! What waits to be sent: bounded in number, in rate per namespace and in all, and in age.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Announcement;

/// Announcements of a namespace: so many at once, and one more per so long.
const PER_NAMESPACE: (u32, Duration) = (20, Duration::from_secs(30));
/// Announcements in all.
const IN_ALL: (u32, Duration) = (100, Duration::from_secs(2));
/// How many wait at most: while the API server is away, the rest is told as a number.
const WAITING: usize = 256;
/// How long one waits at most: the API server forgets its own Events after as long.
const LONGEST: Duration = Duration::from_secs(3600);

/// A token bucket, kept as the time at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    size: u32,
    refill: Duration,
    full_at: Option<Instant>,
}

impl Bucket {
    fn new((size, refill): (u32, Duration)) -> Self {
        Self { size, refill, full_at: None }
    }

    /// When the next token is there; not later than now where one is.
    fn ready_at(&self, now: Instant) -> Instant {
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        // Empty means `size` refills from being full; a token is there from one refill less on.
        let slack = self.refill * self.size.saturating_sub(1);
        full_at.checked_sub(slack).map_or(now, |at| at.max(now))
    }

    fn take(&mut self, now: Instant) {
        self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + self.refill);
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// The first announcement of a namespace that went over the rate, and how many came behind it.
#[derive(Debug)]
struct Held {
    first: Waiting,
    more: usize,
}

/// One that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) announcement: Announcement,
    since: Instant,
}

/// A namespace.
#[derive(Debug)]
struct Place {
    bucket: Bucket,
    held: Option<Held>,
    paused_until: Option<Instant>,
}

/// What waits to be sent.
#[derive(Debug)]
pub(super) struct Outbox {
    all: Bucket,
    places: BTreeMap<Arc<str>, Place>,
    queue: VecDeque<Waiting>,
    paused_until: Option<Instant>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { all: Bucket::new(IN_ALL), places: BTreeMap::new(), queue: VecDeque::new(), paused_until: None }
    }
}

impl Outbox {
    /// Take an announcement in. Tells how many went over the rate (none or one), and are told as a number.
    pub(super) fn put(&mut self, announcement: Announcement, now: Instant) -> usize {
        self.places.retain(|_, place| {
            place.held.is_some() || !place.bucket.is_full(now) || place.paused_until.is_some_and(|at| at > now)
        });
        let has_room = self.queue.len() < WAITING && self.all.ready_at(now) <= now;
        let place = self.place(&announcement);
        let waiting = Waiting { announcement, since: now };
        // What came before goes before.
        if let Some(held) = &mut place.held {
            held.more += 1;
            return 1;
        }
        if has_room && place.bucket.ready_at(now) <= now {
            place.bucket.take(now);
            self.all.take(now);
            self.queue.push_back(waiting);
        } else {
            place.held = Some(Held { first: waiting, more: 0 });
        }
        0
    }

    /// Put one back that could not be sent. Until then nothing of its namespace is sent, or nothing at all.
    pub(super) fn put_back(&mut self, waiting: Waiting, until: Instant, all: bool) {
        if all {
            self.paused_until = Some(until);
        } else {
            self.place(&waiting.announcement).paused_until = Some(until);
        }
        self.queue.push_front(waiting);
    }

    fn place(&mut self, announcement: &Announcement) -> &mut Place {
        let namespace = Arc::clone(&announcement.secret.namespace);
        self.places.entry(namespace).or_insert_with(|| Place {
            bucket: Bucket::new(PER_NAMESPACE),
            held: None,
            paused_until: None,
        })
    }

    /// Forget what has waited for too long; tells how many.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let before = self.queue.len();
        self.queue.retain(|waiting| now.saturating_duration_since(waiting.since) < LONGEST);
        before - self.queue.len()
    }

    /// The next one to send, if one may be sent now.
    pub(super) fn next(&mut self, now: Instant) -> Option<Waiting> {
        if self.paused_until.is_some_and(|at| at > now) {
            return None;
        }
        self.release(now);
        let paused = |waiting: &Waiting| {
            let place = self.places.get(&waiting.announcement.secret.namespace);
            place.and_then(|place| place.paused_until).is_some_and(|at| at > now)
        };
        let at = self.queue.iter().position(|waiting| !paused(waiting))?;
        self.queue.remove(at)
    }

    /// When [`Self::next`] may have one; `None` when nothing waits.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let held = self.places.values().filter(|place| place.held.is_some());
        let held = held.map(|place| place.bucket.ready_at(now).max(self.all.ready_at(now)));
        let queued = self.queue.iter().map(|waiting| {
            let place = self.places.get(&waiting.announcement.secret.namespace);
            place.and_then(|place| place.paused_until).unwrap_or(now)
        });
        let soonest = if self.queue.len() < WAITING { held.chain(queued).min()? } else { queued.min()? };
        Some(self.paused_until.map_or(soonest, |at| at.max(soonest)))
    }

    /// Queue what was over the rate and no longer is.
    fn release(&mut self, now: Instant) {
        while self.queue.len() < WAITING && self.all.ready_at(now) <= now {
            let ready = self.places.values_mut().filter(|place| place.bucket.ready_at(now) <= now);
            let oldest =
                ready.min_by_key(|place| place.held.as_ref().map_or((true, now), |held| (false, held.first.since)));
            let Some(place) = oldest else { return };
            let Some(Held { mut first, more }) = place.held.take() else { return };
            if more > 0 {
                first.announcement.message.push_str(&aggregate(more));
            }
            place.bucket.take(now);
            self.all.take(now);
            self.queue.push_back(first);
        }
    }
}

fn aggregate(more: usize) -> String {
    let changes = if more == 1 { "change" } else { "changes" };
    format!(" ({more} more {changes} in this namespace came too fast to be told one by one: see the status page)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ObjectRef;
    use chrono::DateTime;

    fn announcement(namespace: &str, n: usize) -> Announcement {
        Announcement {
            secret: ObjectRef::new(namespace, format!("s{n}")),
            subject: Arc::from("ghcr.io"),
            reason: "CredentialRejected",
            warning: true,
            message: format!("message {n}"),
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn drain(outbox: &mut Outbox, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| outbox.next(now)).map(|sent| sent.announcement.message).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_the_rest_is_told_as_a_number() {
        let mut outbox = Outbox::default();
        let now = Instant::now();
        let limited: usize = (0..50).map(|n| outbox.put(announcement("a", n), now)).sum();
        assert_eq!(limited, 29, "20 pass, 1 waits with its words, the others are a number");
        assert_eq!(drain(&mut outbox, now).len(), 20);
        assert_eq!(outbox.wake(now), Some(now + PER_NAMESPACE.1));
        assert_eq!(drain(&mut outbox, now + PER_NAMESPACE.1 / 2), Vec::<String>::new());
        let later = now + PER_NAMESPACE.1;
        assert_eq!(
            drain(&mut outbox, later),
            ["message 20 (29 more changes in this namespace came too fast to be told one by one: see the status page)"]
        );
        assert_eq!(outbox.wake(later), None);
        // Another namespace has its own burst.
        assert_eq!((0..20).map(|n| outbox.put(announcement("b", n), now)).sum::<usize>(), 0);
        assert_eq!(drain(&mut outbox, later).len(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn no_rate_is_ever_exceeded() {
        let mut outbox = Outbox::default();
        let start = Instant::now();
        let (mut sent, mut told) = (0_usize, 0_usize);
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            for n in 0..7 {
                told += outbox.put(announcement(&format!("ns-{}", n % 40), 0), now);
            }
            sent += drain(&mut outbox, now).len();
            let (seconds, refill) = (usize::try_from(second).unwrap(), 2);
            assert!(sent <= 100 + seconds / refill, "{sent} after {second} s");
        }
        assert!(sent > 200 && told > 0, "{sent}, {told}");
        assert!(outbox.places.len() <= 7 && outbox.queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_is_refused_does_not_hold_up_the_others() {
        let mut outbox = Outbox::default();
        let now = Instant::now();
        for namespace in ["a", "b"] {
            outbox.put(announcement(namespace, 1), now);
        }
        let first = outbox.next(now).unwrap();
        assert_eq!(&*first.announcement.secret.namespace, "a");
        outbox.put_back(first, now + Duration::from_secs(60), false);
        assert_eq!(&*outbox.next(now).unwrap().announcement.secret.namespace, "b");
        assert!(outbox.next(now).is_none());
        assert_eq!(outbox.wake(now), Some(now + Duration::from_secs(60)));
        assert_eq!(&*outbox.next(now + Duration::from_secs(60)).unwrap().announcement.secret.namespace, "a");
        assert_eq!(outbox.wake(now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_can_be_sent_it_stays_small_and_nothing_old_is_told() {
        let mut outbox = Outbox::default();
        let start = Instant::now();
        let mut forgotten = 0;
        for second in 0..7_200 {
            let now = start + Duration::from_secs(second);
            outbox.put(announcement(&format!("ns-{}", second % 300), 0), now);
            if let Some(one) = outbox.next(now) {
                outbox.put_back(one, now + Duration::from_secs(60), true);
            }
            forgotten += outbox.expire(now);
            assert!(outbox.queue.len() <= WAITING + 1 && outbox.places.len() <= 300);
            let oldest = outbox.queue.iter().map(|waiting| waiting.since).min();
            assert!(oldest.is_none_or(|since| now - since < LONGEST), "tried again and again for {oldest:?}");
        }
        assert!(forgotten > 200, "{forgotten}");
    }
}
