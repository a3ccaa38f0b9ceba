//! States that are written, cut, damaged and read again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::format;
use super::*;
use crate::plan::{Identifier, LoginId, Moment};
use crate::probe::{Evidence, LoginAnswer};
use crate::verdict::memory::{Dial, Record, remember};
use crate::verdict::{Ledger, Rules};

pub(super) fn identifier() -> Identifier {
    Identifier::new(&[7; 32])
}

pub(super) fn wall(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

/// The records of a ledger in which these logins were accepted or refused.
pub(super) fn set(logins: &[(u64, bool)], at: i64) -> Vec<(String, String)> {
    let config = crate::config::Config::default();
    let mut ledger = Ledger::new(Rules::new(&config));
    for (login, accepted) in logins {
        let evidence = Evidence {
            at: wall(at),
            took: std::time::Duration::ZERO,
            answer: if *accepted { LoginAnswer::Accepted } else { LoginAnswer::Refused },
            http_status: Some(200),
            code: Some("DENIED\n".to_owned()),
            detail: "said \"no\"".to_owned(),
            server_date: None,
            retry_after: None,
            to_anybody: false,
        };
        ledger.record_login(LoginId(*login), "a.example", None, &evidence, Moment::START);
    }
    let dial = Dial::new(wall(at), Moment::START);
    let text = |record: Record| (record.key(), serde_json::to_string(&record).unwrap());
    let mut set: Vec<_> = remember(&ledger, &dial).map(text).collect();
    set.sort();
    set
}

pub(super) fn change(all: bool, set: Vec<(String, String)>, gone: &[&str], at: i64) -> Change {
    let stamp = Stamp::from(wall(at));
    Change { saved: stamp, told: stamp, all, set, gone: gone.iter().map(|&key| key.to_owned()).collect() }
}

/// Three lines: two logins, one of them refused, one of them gone.
fn changes() -> [Change; 3] {
    [
        change(true, set(&[(1, true), (2, true)], 0), &[], 0),
        change(false, set(&[(2, false)], 60), &[], 60),
        change(false, Vec::new(), &["login 0000000000000001"], 90),
    ]
}

fn write(changes: &[Change]) -> String {
    let (mut chain, mut text) = format::Chain::start(&identifier(), "");
    for change in changes {
        text.push_str(&chain.line(change));
    }
    text
}

fn read(text: &[u8]) -> Result<Loaded, Refused> {
    format::read(text, &identifier(), "").map(|(loaded, _)| loaded)
}

/// What a state may say: what it said after one of its lines.
fn states() -> Vec<Contents> {
    (1..=3).map(|lines| read(write(&changes()[..lines]).as_bytes()).unwrap().contents).collect()
}

#[test]
fn what_is_written_is_read() {
    let all = changes();
    let loaded = read(write(&all).as_bytes()).unwrap();
    assert!(!loaded.torn);
    assert_eq!(loaded.contents.saved, Stamp::from(wall(90)));
    let keys: Vec<String> = loaded.contents.records.iter().map(Record::key).collect();
    assert_eq!(keys, ["host a.example", "login 0000000000000002", "registry a.example"]);
    assert!(loaded.texts["login 0000000000000002"].contains("\"verdict\"") == all[1].set[1].1.contains("\"verdict\""));
}

#[test]
fn a_damaged_byte_is_never_believed() {
    let text = write(&changes()).into_bytes();
    let states = states();
    let (mut refused, mut older) = (0, 0);
    for at in 0..text.len() {
        for damage in [1_u8, 0x20, 0x80, text[at]] {
            let mut damaged = text.clone();
            damaged[at] ^= damage;
            match read(&damaged) {
                // In the last line a damage looks like a write that did not end: what stood before it holds.
                Ok(loaded) => {
                    assert!(loaded.torn && states[..2].contains(&loaded.contents), "byte {at} ^ {damage}");
                    older += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 4 * older / 2, "{refused} refused, {older} as before the last line");
}

#[test]
fn a_state_that_was_cut_short_is_what_it_was_before() {
    let text = write(&changes()).into_bytes();
    let states = states();
    for length in 0..text.len() {
        match read(&text[..length]) {
            Ok(loaded) => assert!(states.contains(&loaded.contents), "{length} bytes"),
            Err(error) => assert!(length < write(&changes()[..1]).len(), "{length} bytes: {error}"),
        }
    }
}

#[test]
fn lines_cannot_be_dropped_repeated_or_put_in_another_order() {
    let text = write(&changes());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for order in [[0, 2, 1, 3], [0, 1, 3, 2], [0, 1, 1, 2], [0, 3, 2, 1], [1, 0, 2, 3]] {
        let shuffled: String = order.iter().map(|at| lines[*at]).collect();
        match read(shuffled.as_bytes()) {
            Ok(loaded) => assert!(loaded.torn && states().contains(&loaded.contents), "{order:?}"),
            Err(error) => assert!(matches!(error, Refused::Corrupt { .. } | Refused::Foreign), "{order:?}: {error}"),
        }
    }
    // Back to an older state of the same file, which a whole copy of it would be as well; but not to a mixture.
    assert!(read([lines[0], lines[2], lines[3]].concat().as_bytes()).is_err());
}

#[test]
fn what_is_not_ours_is_told_apart() {
    let text = write(&changes());
    assert_eq!(read(b"").unwrap_err(), Refused::Foreign);
    assert_eq!(read(b"\0\0\0\0").unwrap_err(), Refused::Foreign);
    assert_eq!(read(b"{\"state\": 1}\n").unwrap_err(), Refused::Foreign);
    let newer = text.replacen("state 1", "state 2", 1);
    assert_eq!(read(newer.as_bytes()).unwrap_err(), Refused::Newer { found: "2".to_owned() });
    let other = Identifier::new(&[8; 32]);
    assert_eq!(format::read(text.as_bytes(), &other, "").unwrap_err(), Refused::OtherKey);
    let header = text.lines().next().unwrap();
    assert_eq!(read(format!("{header}\n").as_bytes()).unwrap_err(), Refused::Corrupt { line: 2 });
    assert_eq!(read(format!("{header} \n").as_bytes()).unwrap_err(), Refused::Corrupt { line: 1 });
}

#[test]
fn the_first_line_that_is_damaged_is_told() {
    let text = write(&changes());
    for (line, at) in text.match_indices(" {").map(|(at, _)| at).enumerate().take(2) {
        let mut damaged = text.clone().into_bytes();
        damaged[at - 1] ^= 1;
        assert_eq!(read(&damaged).unwrap_err(), Refused::Corrupt { line: line + 2 });
    }
}

#[test]
fn another_key_is_told_from_a_damaged_first_line() {
    let text = write(&changes());
    let (first, rest) = text.split_once('\n').unwrap();
    let mark = first.rsplit_once(' ').unwrap().1;
    let under = |first: &str| read(format!("{first}\n{rest}").as_bytes()).unwrap_err();
    let of_mark = |mark: &str| under(&format!("pull-patrol state 1 {mark}"));
    // The mark of another key may differ from ours in one digit.
    let last = if mark.ends_with('0') { '1' } else { '0' };
    let other = format!("{}{last}", &mark[..15]);
    assert_eq!(of_mark(&other), Refused::OtherKey);
    let damaged = Refused::Corrupt { line: 1 };
    for mark in ["0123", "", &format!("{}g", &mark[..15]), &format!("{other} 1 of 2"), &format!("{mark}0")] {
        assert_eq!(of_mark(mark), damaged, "{mark}");
    }
    for first in ["pull-patrol state 1", "pull-patrol state x 0", &first.replace("state 1", "state 0")] {
        assert_eq!(under(first), damaged, "{first}");
    }
}

#[test]
fn a_text_under_the_first_line_of_another_place_is_refused() {
    let mut shards = Shards::bounded(&identifier(), 600);
    shards.apply(&changes()[0]);
    let mut texts: Vec<String> = (0..shards.len()).map(|at| shards.text(at)).collect();
    let body = |text: &String| text.split_once('\n').unwrap().1.to_owned();
    let (first, second) = (body(&texts[0]), body(&texts[1]));
    assert_ne!(first, second);
    let load = |texts: &[String]| Shards::new(&identifier()).load(texts);
    texts[0] = texts[0].replace(&first, &second);
    assert_eq!(load(&texts).unwrap_err(), Refused::Corrupt { line: 2 });
    let other = Shards::new(&Identifier::new(&[8; 32])).load(&texts);
    assert_eq!(other.unwrap_err(), Refused::OtherKey);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..400), cut in any::<prop::sample::Index>()) {
        let _ = read(&text);
        let mut mixed = write(&changes()).into_bytes();
        mixed.truncate(cut.index(mixed.len()));
        mixed.extend(text);
        if let Ok(loaded) = read(&mixed) {
            prop_assert!(states().contains(&loaded.contents));
        }
    }

    #[test]
    fn shards_hold_what_one_text_holds(
        steps in prop::collection::vec((prop::collection::vec((0_u64..60, any::<bool>()), 0..40), any::<bool>()), 1..8),
        most in 2_000_usize..20_000,
    ) {
        let mut shards = Shards::bounded(&identifier(), most);
        let mut kept: Vec<Option<String>> = vec![None; 64];
        let (mut chain, mut whole) = format::Chain::start(&identifier(), "");
        for (at, (logins, all)) in steps.iter().enumerate() {
            let all = *all || at == 0;
            let change = change(all, set(logins, i64::try_from(at).unwrap()), &["login 0000000000000003"], 5);
            let change = if all { Change { gone: Vec::new(), ..change } } else { change };
            whole.push_str(&chain.line(&change));
            shards.apply(&change);
            for place in shards.changed() {
                kept[place] = Some(shards.text(place));
                shards.written(place);
            }
        }
        let count = Shards::new(&identifier()).count(kept[0].as_deref().unwrap()).unwrap();
        prop_assert_eq!(count, shards.len());
        let texts: Vec<String> = kept[..count].iter().map(|text| text.clone().unwrap_or_default()).collect();
        let mut contents = Shards::new(&identifier()).load(&texts).unwrap();
        contents.records.sort_by_key(Record::key);
        prop_assert_eq!(contents, read(whole.as_bytes()).unwrap().contents);
        prop_assert!(!shards.fits() || texts.iter().all(|text| text.len() <= most + 200));
    }
}

#[test]
fn a_shard_that_lacks_or_stands_elsewhere_is_refused() {
    let mut shards = Shards::bounded(&identifier(), 4_000);
    let logins: Vec<(u64, bool)> = (0..40).map(|login| (login, true)).collect();
    shards.apply(&change(true, set(&logins, 0), &[], 0));
    assert!(shards.len() > 1 && shards.fits());
    let texts: Vec<String> = (0..shards.len()).map(|at| shards.text(at)).collect();
    assert_eq!(*shards.changed().last().unwrap(), 0, "the first is written last");
    let load = |texts: &[String]| Shards::new(&identifier()).load(texts);
    assert!(load(&texts).is_ok());
    let mut swapped = texts.clone();
    swapped.swap(0, 1);
    assert!(load(&swapped).is_err());
    assert!(load(&texts[..texts.len() - 1]).is_err());
    let mut missing = texts.clone();
    missing[1].clear();
    assert_eq!(load(&missing).unwrap_err(), Refused::Foreign);
}

#[test]
fn of_two_writers_the_newer_proof_stays() {
    let state = |logins: &[(u64, bool)], at: i64| {
        let mut shards = Shards::new(&identifier());
        shards.apply(&change(true, set(logins, at), &[], at));
        shards
    };
    let accepted = |shards: &Shards, login: u64| {
        let contents = Shards::new(&identifier()).load(&[shards.text(0)]).unwrap();
        let key = format!("login {login:016x}");
        let record = contents.records.iter().find(|record| record.key() == key)?;
        Some(serde_json::to_string(record).unwrap().contains("\"verdict\":[true"))
    };
    let (mut ours, theirs) = (state(&[(1, true), (2, true)], 0), state(&[(1, false), (3, true)], 60));
    ours.merge(0, &theirs.text(0)).unwrap();
    assert_eq!((accepted(&ours, 1), accepted(&ours, 2), accepted(&ours, 3)), (Some(false), Some(true), Some(true)));
    let (mut ours, theirs) = (state(&[(1, true)], 100), state(&[(1, false)], 60));
    ours.merge(0, &theirs.text(0)).unwrap();
    assert_eq!(accepted(&ours, 1), Some(true));
    // What the other writer gave up goes with its next text, and what nobody renews goes after a day.
    let theirs = state(&[(3, true)], 60);
    ours.merge(0, &theirs.text(0)).unwrap();
    assert_eq!(accepted(&ours, 3), Some(true));
    ours.merge(0, &state(&[], 61).text(0)).unwrap();
    assert_eq!((accepted(&ours, 1), accepted(&ours, 3)), (Some(true), None));
    let mut ours = state(&[(1, true)], 100_000);
    ours.merge(0, &theirs.text(0)).unwrap();
    assert_eq!(accepted(&ours, 3), None);
    assert!(ours.merge(0, "something else").is_err());
}

fn open(path: &Path) -> (FileStore, Result<Option<Loaded>, ReadError>) {
    FileStore::open(path, &identifier()).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_grows_by_changes_is_written_anew_and_is_nobody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, read) = open(&path);
    assert_eq!(read.unwrap(), None);
    let in_use = FileStore::open(&path, &identifier()).unwrap_err();
    assert!(matches!(in_use, OpenError::InUse { .. }));
    assert!(in_use.to_string().contains(path.to_str().unwrap()), "{in_use}");
    let expected = states();
    for (change, expected) in changes().iter().zip(&expected) {
        assert_eq!(store.wants_all(), change.all);
        store.save(change).unwrap();
        let text = std::fs::read(&path).unwrap();
        assert_eq!(super::format::read(&text, &identifier(), "").unwrap().0.contents, *expected);
    }
    let long: Vec<(u64, bool)> = (0..600).map(|login| (login, true)).collect();
    let mut saves = 0;
    while !store.wants_all() {
        store.save(&change(false, set(&long, saves), &[], saves)).unwrap();
        saves += 1;
    }
    let before = std::fs::metadata(&path).unwrap().len();
    assert!((1024 * 1024..3 * 1024 * 1024).contains(&before), "{before}");
    store.save(&changes()[0]).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 10_000 && !store.wants_all());
    for name in names(folder.path()) {
        let mode = std::fs::metadata(folder.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(names(folder.path()), ["state", "state.lock"]);
    drop(store);
    let (_, read) = open(&path);
    assert_eq!(read.unwrap().unwrap().contents, expected[0]);
}

#[test]
fn a_refused_file_stands_aside_and_there_are_three_of_them_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    for round in 0..5 {
        std::fs::write(&path, format!("not a state {round}\n")).unwrap();
        let (store, read) = open(&path);
        let error = read.unwrap_err();
        assert_eq!(error.cause.reason(), "foreign");
        assert!(error.aside.contains("state.refused-"), "{error}");
        assert!(store.wants_all());
        assert_eq!(std::fs::read_to_string(&error.aside).unwrap(), format!("not a state {round}\n"));
        let number = (round + 1).min(3);
        assert_eq!(names(folder.path()).len(), 1 + number, "one name more each time");
        assert!(number == 3 || error.aside.ends_with(&number.to_string()), "the first that is free: {error}");
    }
    assert_eq!(names(folder.path()), ["state.lock", "state.refused-1", "state.refused-2", "state.refused-3"]);
    std::fs::write(&path, write(&changes()).replacen("state 1", "state 9", 1)).unwrap();
    let (mut store, read) = open(&path);
    assert_eq!(read.unwrap_err().cause.reason(), "newer_version");
    store.save(&changes()[0]).unwrap();
}

#[test]
fn a_torn_file_is_taken_up_and_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let text = write(&changes());
    std::fs::write(&path, &text[..text.len() - 20]).unwrap();
    let (mut store, read) = open(&path);
    let loaded = read.unwrap().unwrap();
    assert!(loaded.torn);
    assert_eq!(loaded.contents, states()[1]);
    assert!(store.wants_all(), "nothing is added behind half a line");
    store.save(&changes()[0]).unwrap();
    drop(store);
    assert!(!open(&path).1.unwrap().unwrap().torn);
}

#[test]
fn a_state_that_was_not_read_is_taken_in_before_it_is_written_over() {
    let mut theirs = Shards::bounded(&identifier(), 600);
    theirs.apply(&changes()[0]);
    theirs.apply(&changes()[1]);
    let texts: Vec<String> = (0..theirs.len()).map(|at| theirs.text(at)).collect();
    assert!(texts.len() > 1, "a state in several texts");
    let mut stood = Shards::bounded(&identifier(), 600);
    let known: std::collections::BTreeSet<String> =
        stood.load(&texts).unwrap().records.iter().map(Record::key).collect();

    let mut ours = Shards::bounded(&identifier(), 600);
    ours.apply(&Change { all: true, ..changes()[1].clone() });
    ours.absorb(&texts).unwrap();
    assert!(ours.len() >= texts.len());
    let written: Vec<String> = (0..ours.len()).map(|at| ours.text(at)).collect();
    let mut read = Shards::bounded(&identifier(), 600);
    let all: std::collections::BTreeSet<String> =
        read.load(&written).unwrap().records.iter().map(Record::key).collect();
    assert!(all.is_superset(&known), "{known:?} {all:?}");
    assert!(ours.absorb(&["something else".to_owned()]).is_err());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = FileStore::open(Path::new("/nonexistent/state"), &identifier()).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/state"), "{error}");
}

#[test]
fn a_key_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let key = key_beside(&path, || Some([5; 32])).unwrap();
    assert_eq!(key, folder.path().join("state.key"));
    assert_eq!(std::fs::read(&key).unwrap(), [5; 32]);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(key_beside(&path, || panic!("there is one")).unwrap(), key);
    assert!(key_beside(&folder.path().join("other"), || None).is_err());
}

#[test]
fn a_file_that_was_large_at_first_takes_as_much_in_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = open(&folder.path().join("state"));
    let of_size =
        |all, kib: usize| change(all, vec![("key".to_owned(), format!("\"{}\"", "a".repeat(kib * 1024)))], &[], 0);
    store.save(&of_size(true, 2 * 1024)).unwrap();
    assert!(!store.wants_all());
    store.save(&of_size(false, 1_536)).unwrap();
    assert!(!store.wants_all(), "less than it held at first");
    store.save(&of_size(false, 1_024)).unwrap();
    assert!(store.wants_all());
}

#[test]
fn what_could_not_be_written_anew_is_added_to_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (mut store, _) = open(&path);
    store.save(&changes()[0]).unwrap();
    assert!(!store.wants_all());
    std::fs::create_dir(folder.path().join("state.new")).unwrap();
    assert!(store.save(&changes()[0]).is_err());
    assert!(store.wants_all());
    assert!(store.save(&changes()[1]).is_err(), "a change alone");
    std::fs::remove_dir(folder.path().join("state.new")).unwrap();
    store.save(&changes()[0]).unwrap();
}

#[test]
fn the_oldest_of_the_refused_files_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    for (number, age) in [(1, 2_000), (2, 3_000), (3, 1_000)] {
        let copy = folder.path().join(format!("state.refused-{number}"));
        let copy = std::fs::File::create(copy).unwrap();
        let made = copy.metadata().unwrap().modified().unwrap();
        copy.set_modified(made - std::time::Duration::from_secs(age)).unwrap();
    }
    std::fs::write(&path, "not a state\n").unwrap();
    let (_, read) = open(&path);
    assert!(read.unwrap_err().aside.ends_with("state.refused-2"));
}

#[test]
fn what_is_left_over_of_a_key_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    std::fs::write(folder.path().join("state.key.new"), "half").unwrap();
    let key = key_beside(&path, || Some([5; 32])).unwrap();
    assert_eq!(std::fs::read(&key).unwrap(), [5; 32]);
    assert_eq!(names(folder.path()), ["state.key"]);
}
