//! Whatever the objects are and however many shards there are: together they show what one would, each thing once, and none
//! says what one that knows everything would not.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::outlook::WorkloadPart;

/// Passwords by what is proven of them: alive for ever, alive until a date, dead, never asked.
const ALIVE: [&str; 3] = ["alive-0", "alive-1", "alive-2"];
const DATED: [&str; 2] = ["dated-0", "dated-1"];
const DEAD: [&str; 4] = ["dead-0", "dead-1", "dead-2", "dead-3"];
const UNKNOWN: [&str; 1] = ["unknown-0"];
const IMAGES: [&str; 4] = ["ghcr.io/org/app", "ghcr.io/org/side", "ghcr.io/else/app", "quay.io/org/app"];
const PATHS: [&str; 3] = ["org/app", "org/side", "else/app"];

/// Entries of a Secret: key and password. None: a Secret that cannot be decoded.
type Entries = Option<Vec<(&'static str, &'static str)>>;

#[derive(Clone, Debug)]
struct Scene {
    secrets: Vec<Entries>,
    pods: Vec<(Vec<usize>, Vec<&'static str>)>,
}

fn scene() -> impl Strategy<Value = Scene> {
    let passwords: Vec<&str> = [&ALIVE[..], &DATED, &DEAD, &UNKNOWN, &[""]].concat();
    // The first and the last two come to one key: two entries, one row.
    let keys = select(&["ghcr.io", "ghcr.io/org", "quay.io", "https://ghcr.io"][..]);
    let entries = prop::option::weighted(0.95, prop::collection::vec((keys, select(passwords)), 1..3));
    let secrets = prop::collection::vec(entries, 1..7);
    let images = prop::collection::vec(select(&IMAGES[..]), 1..3);
    let pods = prop::collection::vec((prop::collection::vec(0_usize..7, 0..4), images), 1..7);
    (secrets, pods).prop_map(|(secrets, pods)| Scene { secrets, pods })
}

fn world(scene: &Scene) -> World {
    let mut world = World::cluster();
    for (nth, entries) in scene.secrets.iter().enumerate() {
        let name = format!("s{nth}");
        match entries {
            Some(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, password)| (*key, "user", *password)).collect();
                world.secret("a", &name, &entries);
            }
            None => world.raw_secret("a", &name, DOCKERCONFIGJSON_TYPE, "{"),
        }
    }
    for (nth, (secrets, images)) in scene.pods.iter().enumerate() {
        let names: Vec<String> = secrets.iter().map(|secret| format!("s{secret}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        world.pod("a", &format!("p{nth}"), &names, images);
    }
    for password in ALIVE.iter().chain(&DATED) {
        world.accepts(("user", password));
        for path in PATHS {
            world.access(Some(("user", password)), path, true);
        }
    }
    for (nth, password) in (1..).zip(DATED) {
        world.expires(("user", password), now() + TimeDelta::days(nth));
    }
    for password in DEAD {
        world.rejects(("user", password));
    }
    world.access(None, "else/app", true);
    world.access(None, "org/side", false);
    world
}

/// Whether parts of all shards add up to a blocked image.
fn adds_up_to_blocked(parts: &[&WorkloadPart]) -> bool {
    parts.iter().any(|one| {
        let of_one = |other: &&&WorkloadPart| (&other.image, &other.secrets) == (&one.image, &one.secrets);
        let blocked = parts.iter().filter(of_one).filter(|part| part.outlook == Outlook::Blocked);
        blocked.count() == one.shards
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn together_they_say_what_one_would(scene in scene(), count in 2_u16..6) {
        let world = world(&scene);
        let alone = world.snapshot();
        let shards: Vec<Snapshot> =
            (0..count).map(|index| world.snapshot_of(Shard::new(index, count).unwrap())).collect();

        // Each credential once, as one process would show it.
        let told = |row: &CredentialRow| {
            let numbers = (row.copies, row.workloads, row.entries, row.siblings);
            let place = (row.secret_namespace.clone(), row.secret_name.clone(), row.registry.clone());
            (place, row.status.as_str(), row.expires_at, row.token_id.clone(), numbers)
        };
        let mut together: Vec<_> = shards.iter().flat_map(|shard| shard.credentials.iter().map(told)).collect();
        together.sort();
        prop_assert_eq!(together, alone.credentials.iter().map(told).collect::<Vec<_>>());

        // Each Secret, login and workload counts once.
        let sum = |count: fn(&DaemonFacts) -> usize| shards.iter().map(|shard| count(&shard.daemon)).sum::<usize>();
        prop_assert_eq!(sum(|facts| facts.pull_secrets), alone.daemon.pull_secrets);
        prop_assert_eq!(sum(|facts| facts.logins), alone.daemon.logins);
        prop_assert_eq!(shards.iter().map(|shard| shard.findings.len()).sum::<usize>(), alone.findings.len());
        prop_assert_eq!(shards.iter().map(|shard| shard.workloads.len()).sum::<usize>(), alone.workloads.len());
        prop_assert!(alone.parts.is_empty());

        for truth in &alone.workloads {
            let mut rows = shards.iter().flat_map(|shard| &shard.workloads).filter(|row| row.key == truth.key);
            let row = rows.next().expect("one shard shows it");
            prop_assert!(rows.next().is_none(), "{:?} is shown twice", truth.key);
            let parts: Vec<_> =
                shards.iter().flat_map(|shard| &shard.parts).filter(|part| part.key == truth.key).collect();
            if parts.is_empty() {
                // It is of one shard, which knows all about it.
                prop_assert_eq!((row.outlook, row.deadline), (truth.outlook, truth.deadline));
                continue;
            }
            prop_assert!(row.outlook == truth.outlook || row.outlook == Outlook::Unverified, "{:?} {:?}", row, truth);
            prop_assert!(row.deadline.is_none_or(|at| truth.deadline.is_some_and(|earlier| earlier <= at)));
            let blocked = row.outlook == Outlook::Blocked || adds_up_to_blocked(&parts);
            prop_assert_eq!(blocked, truth.outlook == Outlook::Blocked, "{:?} {:?}", parts, truth);
            // Where one is missing, what the others say never adds up to more.
            for absent in 0..shards.len() {
                let others = shards.iter().enumerate().filter(|(index, _)| *index != absent);
                let parts: Vec<_> = others
                    .flat_map(|(_, shard)| &shard.parts)
                    .filter(|part| part.key == truth.key)
                    .collect();
                prop_assert!(!adds_up_to_blocked(&parts) || truth.outlook == Outlook::Blocked);
            }
        }
    }
}

/// The words that a person reads, and the number of the shard to look at.
#[test]
fn what_hangs_on_another_shard_is_unverified_and_says_so() {
    let mut world = World::cluster();
    let shard = |index| Shard::new(index, 2).unwrap();
    let of = |wanted: u16| {
        let mut passwords = (0..).map(|nth| format!("password-{nth}"));
        passwords.find(|password| shard(0).of_token(password.as_bytes()) == wanted).unwrap()
    };
    let (one, other) = (of(0), of(1));
    world.secret("a", "one", &[("ghcr.io", "user", &one)]);
    world.secret("a", "other", &[("ghcr.io", "user", &other)]);
    world.pod("a", "split", &["one", "other"], &["ghcr.io/org/app"]);
    world.rejects(("user", &one));
    world.rejects(("user", &other));
    assert_eq!(world.snapshot().workloads[0].outlook, Outlook::Blocked);
    let shards = [world.snapshot_of(shard(0)), world.snapshot_of(shard(1))];
    let rows: Vec<_> = shards.iter().flat_map(|shard| &shard.workloads).collect();
    assert_eq!((rows.len(), rows[0].outlook), (1, Outlook::Unverified));
    let elsewhere = if shards[0].workloads.is_empty() { "one (shard 0)" } else { "other (shard 1)" };
    assert!(rows[0].reason.contains(elsewhere), "{}", rows[0].reason);
    for shard in &shards {
        let parts: Vec<_> = shard.parts.iter().map(|part| (part.outlook, part.shards, &*part.image)).collect();
        assert_eq!(parts, [(Outlook::Blocked, 2, "ghcr.io/org/app")]);
    }
}
