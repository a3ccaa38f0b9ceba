//! The patrol between two steps: questions are answered here by hand, so that nothing depends on a network.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use secrecy::SecretSlice;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cluster::{DOCKERCONFIGJSON_TYPE, Inventory, MissingPermission, ObjectRef, PullSecret, Resource};
use crate::config::{IssuerChoice, RegistryConfig};
use crate::metrics::BuildInfo;
use crate::probe::{Evidence, LoginAnswer, Settings, Unproven};
use crate::verdict::LoginView;
use crate::verdict::memory::Dial;
use crate::verdict::store::{Change, Contents, FileStore};

const HOST: &str = "registry.example.com";

fn evidence(answer: LoginAnswer, retry_after: Option<Duration>) -> Answer {
    Answer::Login(Evidence {
        at: Utc::now(),
        took: Duration::ZERO,
        answer,
        http_status: Some(401),
        code: None,
        detail: String::new(),
        server_date: None,
        retry_after,
        to_anybody: false,
    })
}

fn registries(change: impl FnOnce(&mut RegistryConfig)) -> Registries {
    let mut registry = RegistryConfig::plain(HOST, IssuerChoice::None);
    change(&mut registry);
    Registries::new(&[registry]).expect("a good registry")
}

fn finished(ask: &Ask, answer: Answer) -> Finished {
    let registry = registries(|_| ()).find(HOST).expect("it is listed");
    Finished { ask: ask.clone(), registry, answer }
}

fn patrol() -> Patrol {
    let config = Config::default();
    let registries = registries(|_| ());
    Patrol::new(Parts {
        config,
        registries,
        identifier: Identifier::new(&[7; 32]),
        inventory: SharedInventory::new(Inventory::default()),
        prober: Prober::new(Settings::new(Duration::from_secs(1))),
        metrics: Arc::new(DaemonMetrics::new(BuildInfo::compiled()).expect("counters")),
    })
}

fn put(inventory: &SharedInventory, name: &str, password: &str) {
    let at = ObjectRef::new("a", name);
    let auth = STANDARD.encode(format!("robot:{password}"));
    let document = format!(r#"{{"auths": {{"{HOST}": {{"auth": "{auth}"}}}}}}"#);
    let dockerconfigjson = Some(SecretSlice::from(document.into_bytes()).into());
    let secret_type = DOCKERCONFIGJSON_TYPE.into();
    let secret = PullSecret { at: at.clone(), secret_type, dockerconfigjson, dockercfg: None };
    inventory.update(|inventory| {
        inventory.secrets.insert(at, Arc::new(secret));
        true
    });
}

impl Patrol {
    /// Put a Secret with this password, or take it away, and look.
    fn hold(&mut self, name: &str, password: Option<&str>) {
        if let Some(password) = password {
            put(&self.inventory, name, password);
        } else {
            let at = ObjectRef::new("a", name);
            self.inventory.update(|inventory| inventory.secrets.remove(&at).is_some());
        }
        self.sync();
    }

    /// Put a Secret with this password.
    fn hold_quietly(&self, name: &str, password: &str) {
        put(&self.inventory, name, password);
    }

    /// Everything that is due now, as if its exchange had begun.
    fn begin(&mut self) -> Vec<Ask> {
        self.schedule.pop_due(self.clock.moment(), 100)
    }

    fn verdict(&self, ask: &Ask) -> LoginView {
        self.ledger.login(ask.login().expect("a login"))
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_a_login_that_is_gone_is_forgotten() {
    let mut patrol = patrol();
    patrol.hold("pull", Some("old"));
    let old = patrol.begin().remove(0);
    patrol.hold("pull", Some("new"));
    let new = patrol.begin().remove(0);
    assert_ne!(old, new);

    patrol.record(&finished(&old, evidence(LoginAnswer::Accepted, None)));
    assert!(patrol.verdict(&old).last_probe_at.is_none(), "nobody is left to forget it again");
    assert!(patrol.verdict(&new).accepted.is_none(), "and it speaks for no other password");
    patrol.record(&finished(&new, evidence(LoginAnswer::Refused, None)));
    assert!(patrol.verdict(&new).last_probe_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_gone_stands_in_no_proof() {
    let mut patrol = patrol();
    patrol.hold("gone", Some("good"));
    let gone = patrol.begin().remove(0);
    patrol.hold("gone", None);
    patrol.hold("dead", Some("bad"));
    let dead = patrol.begin().remove(0);
    // It was accepted, but is not there to be asked again as the control of the other one.
    patrol.record(&finished(&gone, evidence(LoginAnswer::Accepted, None)));
    for refusal in 0..3 {
        let advice = patrol.record(&finished(&dead, evidence(LoginAnswer::Refused, None)));
        assert!(advice.at_once.is_empty(), "at refusal {refusal}");
        tokio::time::advance(Duration::from_secs(90)).await;
        patrol.begin();
    }
    assert_eq!(patrol.verdict(&dead).accepted, Some(false));
}

#[tokio::test(start_paused = true)]
async fn the_lag_grows_while_the_loop_stands_still() {
    let mut patrol = patrol();
    let lag = |patrol: &Patrol| {
        let text = patrol.metrics.encode().expect("text");
        let line = text.lines().find(|line| line.starts_with("pullpatrol_schedule_lag_seconds ")).expect("a series");
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    patrol.hold("pull", Some("one"));
    patrol.late.since(patrol.schedule.late_since());
    assert!(lag(&patrol) < 0.001);
    // Nothing is looked at any more: no question is asked, no snapshot made.
    tokio::time::advance(Duration::from_secs(90)).await;
    assert!((lag(&patrol) - 90.0).abs() < 0.001);
    // What is not due yet will be.
    let ask = patrol.begin().remove(0);
    patrol.record(&finished(&ask, evidence(LoginAnswer::Accepted, None)));
    patrol.late.since(patrol.schedule.late_since());
    assert!(lag(&patrol) < 0.001);
    tokio::time::advance(Duration::from_secs(600 + 30)).await;
    assert!((30.0..=330.0).contains(&lag(&patrol)));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_of_refused_logins_is_told_and_waits() {
    let mut patrol = patrol();
    for n in 0..100 {
        patrol.hold(&format!("pull-{n}"), Some(&format!("bad-{n}")));
    }
    let asked = patrol.begin();
    assert_eq!(asked.len(), 16, "as many as may be in flight");
    let mut refused = 0;
    let mut asks = asked;
    while !asks.is_empty() {
        for ask in asks {
            refused += 1;
            patrol.record(&finished(&ask, evidence(LoginAnswer::Refused, None)));
        }
        asks = patrol.begin();
    }
    assert_eq!(refused, 60);
    let snapshot = patrol.snapshot();
    let waiting: Vec<_> = snapshot.daemon.waiting.iter().map(|of| (&*of.namespace, &*of.host, of.logins)).collect();
    assert_eq!(waiting, [("a", HOST, 40)]);
    let told =
        snapshot.problems.iter().find(|problem| problem.kind.as_deref() == Some("Namespace")).expect("a problem");
    assert!(told.message.contains("40 more wait") && told.name.as_deref() == Some("a"), "{told:?}");
    assert!(snapshot.credentials.iter().all(|row| row.status == crate::verdict::Status::Unverified));
    // They go on, as slowly as the allowance grows.
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(patrol.begin().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_host_names_holds_whoever_it_was_told_to() {
    let mut patrol = patrol();
    patrol.hold("gone", Some("one"));
    let gone = patrol.begin().remove(0);
    patrol.hold("gone", None);
    let throttled = LoginAnswer::Unproven(Unproven::Throttled);
    patrol.record(&finished(&gone, evidence(throttled, Some(Duration::from_secs(30)))));
    patrol.hold("other", Some("two"));
    assert!(patrol.begin().is_empty(), "the host wants to be left alone");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(patrol.begin().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_costs_a_line_however_much_is_remembered() {
    let mut patrol = patrol();
    let logins = 1_000;
    for n in 0..logins {
        patrol.hold_quietly(&format!("pull-{n}"), &format!("password-{n}"));
    }
    patrol.sync();
    while let [ask, ..] = patrol.schedule.pop_due(patrol.clock.moment(), 1)[..].to_vec().as_slice() {
        for _ in 0..5 {
            let Answer::Login(accepted) = evidence(LoginAnswer::Accepted, None) else { unreachable!() };
            let login = ask.login().expect("a login");
            patrol.ledger.record_login(login, HOST, None, &accepted, patrol.clock.moment());
        }
        patrol.record(&finished(ask, evidence(LoginAnswer::Accepted, None)));
    }
    patrol.memory.set_dial(Dial::new(patrol.clock.wall(), patrol.clock.moment()));
    let (all, kept) = patrol.change(true);
    let bytes = |change: &Change| change.set.iter().map(|(_, text)| text.len()).sum::<usize>();
    let kinds: Vec<&str> = all.set.iter().filter_map(|(key, _)| key.split(' ').next()).collect();
    let count = |kind: &str| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((count("login"), count("ask"), kinds.len()), (logins, logins, 2 * logins + 2), "a registry, a host");
    assert!(bytes(&all) < 1_500 * logins, "{} bytes", bytes(&all));

    patrol.memory.assume_kept(kept);
    assert!(patrol.change(false).0.set.is_empty(), "nothing happened");
    tokio::time::advance(Duration::from_secs(600)).await;
    let ask = patrol.schedule.pop_due(patrol.clock.moment(), 1).remove(0);
    let noted = patrol.change(false).0;
    assert_eq!(noted.set.len(), 1, "that it is asked");
    patrol.record(&finished(&ask, evidence(LoginAnswer::Refused, None)));
    let answered = patrol.change(false).0;
    assert!(answered.set.len() <= 4 && bytes(&answered) < 4_000, "{} bytes", bytes(&answered));
}

impl Patrol {
    fn ordered(&mut self, registries: Registries) {
        let (obeyed, _) = tokio::sync::oneshot::channel();
        self.obey(Orders { config: Config::default(), registries, obeyed });
        self.sync();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_another_host_made_does_not_survive_the_reload_that_mends_it() {
    let mut patrol = patrol();
    patrol.ordered(registries(|registry| registry.endpoint = Some("https://wrong.example.com".to_owned())));
    patrol.hold("pull", Some("good"));
    let ask = patrol.begin().remove(0);
    for _ in 0..3 {
        let mut refused = finished(&ask, evidence(LoginAnswer::Refused, None));
        refused.registry = patrol.book.registry(HOST).expect("it is listed");
        patrol.record(&refused);
        tokio::time::advance(Duration::from_secs(90)).await;
        patrol.begin();
    }
    assert_eq!(patrol.verdict(&ask).accepted, Some(false));
    let decoded = patrol.book.decoded();
    patrol.ordered(registries(|registry| registry.requests_per_second = 50.0));
    assert_eq!(patrol.book.decoded(), decoded, "no Secret is read again where the list has the same hosts and issuers");
    assert_eq!(patrol.verdict(&ask).accepted, None);
    assert_eq!(patrol.begin(), std::slice::from_ref(&ask), "at once, not after the interval of dead logins");
    patrol.record(&finished(&ask, evidence(LoginAnswer::Accepted, None)));
    assert_eq!(patrol.verdict(&ask).accepted, Some(true));

    // One that is asked where it always was stays dead, and is left alone.
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(900)).await;
        patrol.begin();
        patrol.record(&finished(&ask, evidence(LoginAnswer::Refused, None)));
    }
    assert_eq!(patrol.verdict(&ask).accepted, Some(false));
    patrol.ordered(registries(|registry| registry.allow_private_addresses = true));
    assert_eq!(patrol.verdict(&ask).accepted, Some(false));
    assert!(patrol.begin().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_under_way_from_another_host_counts_for_nothing() {
    let mut patrol = patrol();
    patrol.hold("pull", Some("good"));
    let ask = patrol.begin().remove(0);
    patrol.ordered(registries(|registry| registry.endpoint = Some("https://right.example.com".to_owned())));
    patrol.record(&finished(&ask, evidence(LoginAnswer::Accepted, None)));
    assert!(patrol.verdict(&ask).last_probe_at.is_none());
    assert_eq!(patrol.begin(), [ask], "asked again at once");
}

/// A patrol whose store is a file in this folder.
fn keeping(patrol: Patrol, folder: &std::path::Path) -> Patrol {
    let (store, _) = open(folder).expect("nobody has it");
    patrol.remembering(Store::File(Box::new(store)), None, None)
}

fn open(folder: &std::path::Path) -> Option<(FileStore, Option<Contents>)> {
    let (store, read) = FileStore::open(&folder.join("state"), &Identifier::new(&[7; 32])).ok()?;
    Some((store, read.expect("a state that can be read").map(|loaded| loaded.contents)))
}

#[tokio::test(start_paused = true)]
async fn a_pause_lets_go_of_the_file_and_what_follows_takes_it_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut patrol = keeping(patrol(), folder.path());
    patrol.hold("pull", Some("good"));
    let ask = patrol.begin().remove(0);
    patrol.record(&finished(&ask, evidence(LoginAnswer::Accepted, None)));
    assert!(open(folder.path()).is_none(), "who probes has it");
    let (snapshots, _shown) = watch::channel(Arc::new(Snapshot::default()));
    let (store, contents) = tokio::select! {
        () = patrol.pause(&snapshots) => unreachable!("it pauses for ever"),
        opened = async {
            loop {
                if let Some(opened) = open(folder.path()) {
                    break opened;
                }
                tokio::task::yield_now().await;
            }
        } => opened,
    };
    assert!(patrol.lacks_its_store());
    let contents = contents.expect("what was proven was saved before");
    assert!(contents.records.iter().any(|record| record.key().starts_with("login ")));
    patrol.take_back(Store::File(Box::new(store)));
    patrol.go_on();
    assert!(!patrol.lacks_its_store());
    patrol.save_for_good().await;
    assert_eq!(patrol.verdict(&ask).accepted, Some(true));
    patrol.retire();
    assert!(open(folder.path()).is_some());
}

#[tokio::test(start_paused = true)]
async fn while_paused_the_picture_follows_the_objects_and_nobody_is_asked() {
    let mut patrol = patrol();
    patrol.hold("gone", Some("one"));
    let asked = patrol.begin().remove(0);
    patrol.record(&finished(&asked, evidence(LoginAnswer::Accepted, None)));
    let inventory = patrol.inventory.clone();
    let (orders, given) = mpsc::channel(1);
    let mut patrol = patrol.obeying(given);
    let (snapshots, mut shown) = watch::channel(Arc::new(Snapshot::default()));
    let names = |snapshot: &Snapshot| -> Vec<(String, crate::verdict::Status)> {
        snapshot.credentials.iter().map(|row| (row.secret_name.to_string(), row.status)).collect()
    };
    let (valid, unverified) = (crate::verdict::Status::Valid, crate::verdict::Status::Unverified);
    tokio::select! {
        () = patrol.pause(&snapshots) => unreachable!("it pauses for ever"),
        () = async {
            shown.wait_for(|snapshot| names(snapshot) == [("gone".to_owned(), valid)]).await.expect("a picture");
            put(&inventory, "new", "two");
            inventory.update(|inventory| inventory.secrets.remove(&ObjectRef::new("a", "gone")).is_some());
            shown.wait_for(|snapshot| names(snapshot) == [("new".to_owned(), unverified)]).await.expect("a picture");
            let (obeyed, done) = tokio::sync::oneshot::channel();
            let registries = Registries::new(&[]).expect("no registry");
            orders.send(Orders { config: Config::default(), registries, obeyed }).await.expect("it obeys");
            done.await.expect("it obeys");
            let ignored = crate::verdict::Status::Ignored;
            shown.wait_for(|snapshot| names(snapshot) == [("new".to_owned(), ignored)]).await.expect("a picture");
            let (obeyed, _) = tokio::sync::oneshot::channel();
            orders.send(Orders { config: Config::default(), registries: crate::patrol::tests::registries(|_| ()), obeyed }).await.expect("it obeys");
            shown.wait_for(|snapshot| names(snapshot) == [("new".to_owned(), unverified)]).await.expect("a picture");
        } => {}
    }
    patrol.go_on();
    patrol.sync();
    let asks = patrol.begin();
    assert!(asks.len() == 1 && asks[0] != asked, "{asks:?}");
}

#[tokio::test(start_paused = true)]
async fn the_patience_with_denied_secrets_counts_from_the_take_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = keeping(patrol(), folder.path());
    first.hold("pull", Some("good"));
    let ask = first.begin().remove(0);
    first.record(&finished(&ask, evidence(LoginAnswer::Accepted, None)));
    first.save_for_good().await;
    drop(first);

    let second = patrol();
    second.inventory.update(|inventory| {
        inventory.missing_permissions.insert(MissingPermission::new(Resource::Secrets, "list", "a"));
        for resource in Resource::ALL {
            inventory.synced.insert(resource);
        }
        true
    });
    // It stood by for longer than anybody waits for Secrets that are denied.
    tokio::time::advance(Duration::from_secs(3 * 3600)).await;
    let (store, contents) = open(folder.path()).expect("nobody has it");
    let mut second = second.remembering(Store::File(Box::new(store)), contents, None);
    second.sync();
    assert_eq!(second.verdict(&ask).accepted, Some(true), "not forgotten before it could be met");
    tokio::time::advance(Duration::from_secs(3601)).await;
    second.sync();
    assert_eq!(second.verdict(&ask).accepted, None);
}

#[tokio::test(start_paused = true)]
async fn the_first_picture_of_all_that_there_is_waits_for_no_other() {
    let mut patrol = patrol();
    let inventory = patrol.inventory.clone();
    let (snapshots, mut shown) = watch::channel(Arc::new(Snapshot::default()));
    let shutdown = CancellationToken::new();
    let change = |change: fn(&mut Inventory)| {
        inventory.update(|inventory| {
            change(inventory);
            true
        });
        tokio::time::Instant::now()
    };
    let is_complete = |snapshot: &Arc<Snapshot>| snapshot.daemon.synced.iter().all(|(_, synced)| *synced);
    let settled = Duration::from_millis(50);
    tokio::select! {
        ended = patrol.run_while(&snapshots, &shutdown) => unreachable!("{ended:?}"),
        () = async {
            shown.changed().await.expect("a picture");
            assert!(!is_complete(&shown.borrow_and_update()));
            let begun = change(|inventory| inventory.synced = Resource::ALL.into_iter().collect());
            shown.wait_for(is_complete).await.expect("a picture");
            assert!(begun.elapsed() < settled, "{:?}", begun.elapsed());
            // From then on pictures keep their distance.
            shown.mark_unchanged();
            let begun = change(|inventory| inventory.problems.clear());
            shown.changed().await.expect("a picture");
            assert!(begun.elapsed() > settled, "{:?}", begun.elapsed());
        } => {}
    }
}
