//! The rules with times passed in, and the campaign over an API server in memory with a paused clock.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use k8s_openapi::jiff::SignedDuration;
use tokio::task::JoinHandle;

use super::fake::{FakeLeases, Fault};
use super::*;
use crate::cluster::Inventory;

const DURATION: Duration = Duration::from_secs(15);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn wall(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_700_000_000 + seconds)
}

fn elector(me: &str) -> Elector {
    Elector::new(me.to_owned(), DURATION)
}

/// As the API server gives back what was written.
fn stored(record: Record, version: u64) -> Record {
    Record { version: Some(version.to_string()), ..record }
}

fn held_by(holder: &str, version: u64) -> Record {
    Record {
        holder: holder.to_owned(),
        duration: DURATION,
        acquired: Some(wall(0)),
        renewed: Some(wall(0)),
        transitions: 3,
        version: Some(version.to_string()),
    }
}

#[test]
fn who_finds_no_lease_makes_one_and_holds_it_for_two_thirds_of_its_duration() {
    let now = Instant::now();
    let mut one = elector("one");
    one.saw(None, now);
    assert_eq!(one.standing(now), Standing::Nobody);
    let Step::Create(record) = one.step(now, wall(0)) else { panic!("there is none") };
    assert_eq!((record.holder.as_str(), record.transitions), ("one", 0));
    // The answer took a second: what counts is when it was sent.
    one.wrote(stored(record, 1), now);
    let term = Term { transitions: 0, acquired: Some(wall(0)) };
    assert_eq!(one.standing(now + seconds(1)), Standing::Us(&term, now + seconds(10)));
    assert_eq!(one.standing(now + seconds(10)), Standing::Nobody, "before anybody may take it");
}

#[test]
fn a_lease_of_another_is_free_a_duration_after_it_was_seen_to_change() {
    let now = Instant::now();
    let mut two = elector("two");
    // Its holder's clock may say what it wants: a century ago, or in a century.
    for (version, years) in [(1, -100), (2, 100)] {
        let at = now + seconds(version);
        two.saw(Some(Record { renewed: Some(wall(years * 31_536_000)), ..held_by("one", version) }), at);
        assert_eq!(two.step(at, wall(0)), Step::Wait(at + DURATION));
        assert_eq!(two.standing(at), Standing::Other("one"));
    }
    // Seen again without a change, it does not count anew.
    let last = Record { renewed: Some(wall(100 * 31_536_000)), ..held_by("one", 2) };
    two.saw(Some(last), now + seconds(9));
    assert_eq!(two.step(now + seconds(16), wall(5)), Step::Wait(now + seconds(17)));
    let Step::Update(record) = two.step(now + seconds(17), wall(6)) else { panic!("it is free") };
    assert_eq!((record.holder.as_str(), record.transitions, record.version.as_deref()), ("two", 4, Some("2")));
    assert_eq!((record.acquired, record.renewed), (Some(wall(6)), Some(wall(6))));
}

#[test]
fn a_renewal_that_is_seen_late_starts_the_wait_late() {
    let now = Instant::now();
    let mut two = elector("two");
    two.saw(Some(held_by("one", 1)), now);
    two.saw(Some(held_by("one", 2)), now + seconds(14));
    assert_eq!(two.step(now + seconds(20), wall(0)), Step::Wait(now + seconds(29)));
}

#[test]
fn the_longer_of_two_durations_counts() {
    let now = Instant::now();
    for (theirs, free) in [(60, 60), (1, 15)] {
        let mut two = elector("two");
        two.saw(Some(Record { duration: seconds(theirs), ..held_by("one", 1) }), now);
        assert_eq!(two.step(now, wall(0)), Step::Wait(now + seconds(free)));
    }
}

#[test]
fn a_lease_that_was_given_up_is_free_at_once() {
    let now = Instant::now();
    let mut one = elector("one");
    one.wrote(held_by("one", 1), now);
    let released = one.release(wall(9)).expect("it is ours");
    assert_eq!((released.holder.as_str(), released.version.as_deref()), ("", Some("1")));
    let mut two = elector("two");
    two.saw(Some(stored(released, 2)), now + seconds(1));
    assert_eq!(two.standing(now + seconds(1)), Standing::Nobody);
    assert!(matches!(two.step(now + seconds(1), wall(10)), Step::Update(record) if record.transitions == 4));
    assert_eq!(two.release(wall(10)), None, "nobody gives up what is not his");
}

#[test]
fn who_sees_another_holder_has_lost_it_at_once() {
    let now = Instant::now();
    let mut one = elector("one");
    one.wrote(held_by("one", 1), now);
    one.saw(Some(held_by("two", 2)), now + seconds(1));
    assert_eq!(one.standing(now + seconds(1)), Standing::Other("two"));
    assert_eq!(one.release(wall(1)), None);
    // So has he whose Lease was deleted: another may have made it anew meanwhile.
    one.wrote(held_by("one", 3), now + seconds(2));
    one.saw(None, now + seconds(3));
    assert_eq!(one.standing(now + seconds(3)), Standing::Nobody);
}

#[test]
fn a_term_goes_on_after_a_gap_in_which_nobody_else_had_it() {
    let now = Instant::now();
    let mut one = elector("one");
    one.wrote(held_by("one", 1), now);
    let Standing::Us(term, _) = one.standing(now) else { panic!("it is ours") };
    let term = term.clone();
    let later = now + seconds(3600);
    assert_eq!(one.standing(later), Standing::Nobody);
    one.saw(Some(held_by("one", 1)), later);
    let Step::Update(record) = one.step(later, wall(3600)) else { panic!("it is still ours") };
    assert_eq!((record.acquired, record.transitions), (Some(wall(0)), 3));
    one.wrote(stored(record, 2), later);
    assert!(matches!(one.standing(later), Standing::Us(same, _) if *same == term));
    // Where somebody had it in between, it is another one.
    one.saw(Some(Record { holder: String::new(), transitions: 4, ..held_by("two", 7) }), later + seconds(60));
    let Step::Update(record) = one.step(later + seconds(60), wall(3660)) else { panic!("it is free") };
    one.wrote(stored(record, 8), later + seconds(60));
    assert!(matches!(one.standing(later + seconds(60)), Standing::Us(other, _) if *other != term));
}

#[test]
fn a_write_whose_answer_was_lost_is_found_and_renewed() {
    let now = Instant::now();
    let mut one = elector("one");
    one.saw(None, now);
    let Step::Create(record) = one.step(now, wall(0)) else { panic!("there is none") };
    one.saw(Some(stored(record, 1)), now + seconds(4));
    // It is ours, but we do not know when that began.
    assert_eq!(one.standing(now + seconds(4)), Standing::Nobody);
    assert!(matches!(one.step(now + seconds(4), wall(4)), Step::Update(record) if record.transitions == 0));
}

/// A candidate at work, with what it was told.
struct Candidate {
    leadership: watch::Receiver<Leadership>,
    shared: SharedInventory,
    errors: Arc<AtomicUsize>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

struct Count(Arc<AtomicUsize>);

impl LeaseObserver for Count {
    fn error(&self, reason: &'static str) {
        assert!(LEASE_ERROR_REASONS.contains(&reason));
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Candidate {
    fn start(api: &FakeLeases, identity: &str) -> Self {
        let (tell, leadership) = watch::channel(Leadership::Nobody);
        let (shared, errors, stop) =
            (SharedInventory::new(Inventory::default()), Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let (client, inventory, count, stopped) =
            (api.client(), shared.clone(), Count(Arc::clone(&errors)), stop.clone());
        let candidacy = Candidacy {
            namespace: String::new(),
            name: "pull-patrol".to_owned(),
            duration: DURATION,
            identity: identity.to_owned(),
        };
        let task = tokio::spawn(async move {
            campaign(client, &candidacy, &inventory, &count, &tell, stopped).await;
        });
        Self { leadership, shared, errors, stop, task }
    }

    async fn leads(&mut self) -> Tenure {
        loop {
            if let Leadership::Us(tenure) = &*self.leadership.borrow_and_update() {
                return tenure.clone();
            }
            self.leadership.changed().await.expect("it goes on");
        }
    }

    fn stands_by(&self) -> bool {
        matches!(&*self.leadership.borrow(), Leadership::Other(_))
    }

    fn missing(&self) -> Vec<&'static str> {
        self.shared.read(|inventory| inventory.missing_permissions.iter().map(|rule| rule.verb).collect())
    }
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_takes_over_when_it_is_gone_without_a_word() {
    let api = FakeLeases::default();
    let mut one = Candidate::start(&api, "one");
    let tenure = one.leads().await;
    let mut two = Candidate::start(&api, "two");
    // An hour of renewals.
    tokio::time::sleep(seconds(3600)).await;
    assert!(tenure.holds() && two.stands_by());
    assert_eq!(api.holder().as_deref(), Some("one"));
    let before = Instant::now();
    one.task.abort();
    tenure.ended().await;
    assert!(before.elapsed() <= seconds(10));
    let next = two.leads().await;
    assert!(!tenure.holds() && next.holds());
    let took = before.elapsed();
    assert!(took >= seconds(10) && took <= DURATION + DURATION / LOOKS, "{took:?}");
    assert_eq!(api.lease().expect("a Lease")["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn who_ends_in_order_gives_the_lease_up() {
    let api = FakeLeases::default();
    let mut one = Candidate::start(&api, "one");
    let tenure = one.leads().await;
    let mut two = Candidate::start(&api, "two");
    tokio::time::sleep(seconds(60)).await;
    one.stop.cancel();
    one.task.await.expect("it ends");
    assert!(!tenure.holds());
    assert_ne!(api.holder().as_deref(), Some("one"));
    let before = Instant::now();
    two.leads().await;
    assert!(before.elapsed() < 2 * (DURATION / LOOKS), "at the next look, not at the end of the Lease");
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_the_tenure_ends_in_time_and_goes_on_when_nobody_else_had_it() {
    let api = FakeLeases::default();
    let mut one = Candidate::start(&api, "one");
    let tenure = one.leads().await;
    let two = Candidate::start(&api, "two");
    tokio::time::sleep(seconds(30)).await;
    let before = Instant::now();
    for fault in [Fault::Hangs, Fault::Answer(503)] {
        api.always(Some(fault));
        tenure.ended().await;
        assert!(before.elapsed() <= seconds(3610), "{:?}", before.elapsed());
        tokio::time::sleep(seconds(1800)).await;
        assert!(!tenure.holds() && two.stands_by());
        api.always(None);
        // Whoever looks first when the server is back takes it: the holder of before renews what is his by name, and the
        // other finds it free.
        tokio::select! {
            () = tenure.resumed() => assert_eq!(api.holder().as_deref(), Some("one")),
            () = tokio::time::sleep(seconds(60)) => assert_eq!(api.holder().as_deref(), Some("two")),
        }
        if api.holder().as_deref() == Some("two") {
            return;
        }
        let again = one.leads().await;
        assert_eq!(again.term(), tenure.term());
    }
    assert!(one.errors.load(Ordering::Relaxed) > 100);
}

#[tokio::test(start_paused = true)]
async fn slips_of_the_api_server_cost_nothing() {
    let api = FakeLeases::default();
    let mut one = Candidate::start(&api, "one");
    let tenure = one.leads().await;
    for fault in [Fault::Answer(500), Fault::Hangs, Fault::Lost, Fault::Answer(409), Fault::Answer(429), Fault::Lost] {
        api.fault(Method::PUT, fault);
        tokio::time::sleep(seconds(30)).await;
        assert!(tenure.holds(), "{fault:?}");
        assert_eq!(one.leads().await.term(), tenure.term());
    }
    // Somebody else's note on it is a conflict, and no reason to stop.
    api.edit(|lease| lease["metadata"]["annotations"] = serde_json::json!({"a": "b"}));
    tokio::time::sleep(seconds(30)).await;
    assert!(tenure.holds());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_or_deleted_under_its_holder_ends_the_tenure() {
    let api = FakeLeases::default();
    let mut one = Candidate::start(&api, "one");
    let tenure = one.leads().await;
    api.edit(|lease| lease["spec"]["holderIdentity"] = "two".into());
    tenure.ended().await;
    tokio::task::yield_now().await;
    assert!(one.stands_by());
    // "two" never renews.
    one.leadership.changed().await.expect("it goes on");
    let second = one.leads().await;
    assert_ne!(second.term(), tenure.term());
    api.delete();
    second.ended().await;
    let third = one.leads().await;
    assert_ne!(third.term(), second.term());
    assert!(!second.holds() && third.holds());
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_told_and_vanishes_when_it_is_granted() {
    let api = FakeLeases::default();
    api.fault(Method::GET, Fault::Answer(403));
    api.fault(Method::POST, Fault::Answer(403));
    let mut one = Candidate::start(&api, "one");
    let mut inventory = one.shared.subscribe();
    inventory.changed().await.expect("it goes on");
    assert_eq!(one.missing(), ["get"]);
    inventory.changed().await.expect("it goes on");
    while one.missing() != ["create"] {
        inventory.changed().await.expect("it goes on");
    }
    one.leads().await;
    assert!(one.missing().is_empty());
    assert_eq!(one.errors.load(Ordering::Relaxed), 2);
    assert_eq!(api.count(&Method::POST), 2);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_find_no_lease_one_makes_it() {
    let api = FakeLeases::default();
    let (one, two) = (Candidate::start(&api, "one"), Candidate::start(&api, "two"));
    tokio::time::sleep(seconds(120)).await;
    let leads =
        |candidate: &Candidate| matches!(&*candidate.leadership.borrow(), Leadership::Us(tenure) if tenure.holds());
    assert!(leads(&one) != leads(&two));
    assert!(one.stands_by() != two.stands_by());
}
