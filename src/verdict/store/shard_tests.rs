//! A state in several texts: which of them a change touches, and what of another writer stays.

use super::tests::{change, identifier, set, wall};
use super::*;

/// So many logins that were accepted.
fn accepted(logins: std::ops::Range<u64>) -> Vec<(u64, bool)> {
    logins.map(|login| (login, true)).collect()
}

/// All of these at a time, in texts of at most so many bytes.
fn holding(logins: &[(u64, bool)], at: i64, most_bytes: usize) -> Shards {
    let mut shards = Shards::bounded(&identifier(), most_bytes);
    shards.apply(&change(true, set(logins, at), &[], at));
    shards
}

fn texts(shards: &Shards) -> Vec<String> {
    (0..shards.len()).map(|at| shards.text(at)).collect()
}

fn write_all(shards: &mut Shards) {
    for place in shards.changed() {
        shards.written(place);
    }
    assert!(shards.changed().is_empty());
}

/// Whether a login is there, and whether it was accepted.
fn login(shards: &Shards, login: u64) -> Option<bool> {
    let contents = Shards::new(&identifier()).load(&texts(shards)).unwrap();
    let key = format!("login {login:016x}");
    let record = contents.records.iter().find(|record| record.key() == key)?;
    Some(serde_json::to_string(record).unwrap().contains("\"verdict\":[true"))
}

#[test]
fn what_is_as_it_was_is_not_written_again() {
    let mut shards = holding(&accepted(0..40), 0, 4_000);
    assert!(shards.len() > 2);
    write_all(&mut shards);
    for all in [true, false] {
        shards.apply(&change(all, set(&accepted(0..40), 0), &[], 60));
        assert_eq!(shards.changed(), [0], "the first tells when the state was saved");
        let saved = Shards::new(&identifier()).load(&texts(&shards)).unwrap().saved;
        assert_eq!(saved, Stamp::from(wall(60)));
        write_all(&mut shards);
    }
}

#[test]
fn what_goes_has_its_text_written() {
    for all in [true, false] {
        let mut shards = holding(&accepted(0..40), 0, 4_000);
        write_all(&mut shards);
        for gone in 10..14 {
            let before = texts(&shards);
            let key = format!("login {gone:016x}");
            let left: Vec<(u64, bool)> = accepted(0..40).into_iter().filter(|(id, _)| *id < 10 || *id > gone).collect();
            if all {
                shards.apply(&change(true, set(&left, 0), &[], 0));
            } else {
                shards.apply(&change(false, Vec::new(), &[&key], 0));
            }
            let differ = (0..shards.len()).filter(|at| *at == 0 || shards.text(*at) != before[*at]);
            assert_eq!(shards.changed(), differ.rev().collect::<Vec<_>>());
            assert_eq!(login(&shards, gone), None);
            write_all(&mut shards);
        }
    }
}

#[test]
fn a_state_that_was_read_goes_on_as_it_stood() {
    let mut former = holding(&accepted(0..40), 0, 4_000);
    former.apply(&change(false, Vec::new(), &[], 60));
    let mut written = texts(&former);
    // Of the others the text may be older than that of the first.
    for (place, text) in written.iter_mut().enumerate().skip(1) {
        *text = holding(&accepted(0..40), 0, 4_000).text(place);
    }
    let mut shards = Shards::bounded(&identifier(), 4_000);
    assert!(shards.is_empty());
    shards.apply(&change(true, set(&accepted(90..91), 0), &[], 0));
    assert!(!shards.is_empty());
    let contents = shards.load(&written).unwrap();
    assert_eq!(contents.saved, Stamp::from(wall(60)));
    assert_eq!((shards.len(), shards.changed()), (written.len(), vec![]));
    assert_eq!(shards.text(0), written[0]);
    assert!(!shards.is_empty());
    shards.apply(&change(true, Vec::new(), &[], 70));
    assert!(shards.is_empty());
    shards.apply(&change(false, set(&accepted(1..2), 0), &[], 70));
    assert!(!shards.is_empty(), "though most of its texts are");
}

#[test]
fn a_record_stands_in_the_same_text_in_every_version() {
    let shards = holding(&accepted(0..8), 0, 1_500);
    assert_eq!(shards.len(), 4);
    let place =
        |login: u64| texts(&shards).iter().position(|text| text.contains(&format!("\"login\":\"{login:016x}\"")));
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(place), PLACES.map(Some));
}

/// By FNV-1a of `login 0000000000000000` and so on, of four.
const PLACES: [usize; 8] = [2, 1, 0, 3, 2, 1, 0, 3];

#[test]
fn there_are_64_texts_at_most() {
    let shards = holding(&accepted(0..600), 0, 300);
    assert_eq!((shards.len(), shards.fits()), (64, false));
}

#[test]
fn what_the_other_writer_told_anew_is_ours_all_the_same() {
    let mut ours = holding(&[(1, true), (2, true)], 0, 100_000);
    ours.merge(0, &holding(&[(1, false), (3, true)], 60, 100_000).text(0)).unwrap();
    assert_eq!([1, 2, 3].map(|id| login(&ours, id)), [Some(false), Some(true), Some(true)]);
    // From here on we ask about the third ourselves.
    ours.apply(&change(false, set(&[(3, false)], 70), &[], 70));
    ours.merge(0, &holding(&[], 80, 100_000).text(0)).unwrap();
    assert_eq!([1, 2, 3].map(|id| login(&ours, id)), [Some(false), Some(true), Some(false)]);
}

#[test]
fn of_a_whole_state_what_is_newer_stays_and_what_is_not_ours_goes_with_its_writer() {
    let mut ours = holding(&[(1, true), (2, true)], 50, 100_000);
    write_all(&mut ours);
    let older = holding(&[(1, false)], 0, 100_000);
    ours.absorb(&texts(&older)).unwrap();
    assert_eq!(login(&ours, 1), Some(true));
    let newer = holding(&[(2, false), (3, true)], 90, 100_000);
    ours.absorb(&texts(&newer)).unwrap();
    assert_eq!([1, 2, 3].map(|id| login(&ours, id)), [Some(true), Some(false), Some(true)]);
    assert_eq!(ours.changed(), [0]);
    ours.merge(0, &holding(&[], 91, 100_000).text(0)).unwrap();
    assert_eq!([1, 2, 3].map(|id| login(&ours, id)), [Some(true), Some(false), None]);

    // What nobody renewed for a day is taken from nobody.
    let mut later = holding(&[(1, true)], 100_000, 100_000);
    later.absorb(&texts(&newer)).unwrap();
    assert_eq!([1, 3].map(|id| login(&later, id)), [Some(true), None]);
}

#[test]
fn a_whole_state_brings_as_many_texts_as_it_has() {
    let theirs = holding(&accepted(0..40), 60, 4_000);
    let mut ours = holding(&[(1, true)], 0, 100_000);
    write_all(&mut ours);
    ours.absorb(&texts(&theirs)).unwrap();
    assert_eq!(ours.len(), theirs.len(), "a text that nobody overwrites would be taken for one of ours");
    assert_eq!(ours.changed(), (0..theirs.len()).rev().collect::<Vec<_>>());
    assert!(accepted(0..40).iter().all(|(id, _)| login(&ours, *id) == Some(true)));

    // There are never fewer again.
    let mut ours = holding(&accepted(0..40), 0, 4_000);
    ours.absorb(&texts(&holding(&[(90, true)], 60, 100_000))).unwrap();
    assert_eq!((ours.len(), login(&ours, 90)), (theirs.len(), Some(true)));

    // What they have may be too much for as many texts as there were.
    let mut ours = holding(&[(1, true)], 0, 4_000);
    ours.absorb(&texts(&holding(&accepted(0..40), 60, 100_000))).unwrap();
    assert!(ours.len() > 1 && ours.fits());
}

#[test]
fn a_whole_state_that_tells_nothing_new_has_texts_written_only_where_there_are_more_of_them() {
    let newer = accepted(0..40);
    for (most_bytes, all) in [(4_000, false), (100_000, true)] {
        let theirs = holding(&newer, 0, 4_000);
        let mut ours = holding(&newer, 60, most_bytes);
        write_all(&mut ours);
        ours.absorb(&texts(&theirs)).unwrap();
        assert_eq!(ours.len(), theirs.len());
        let expected: Vec<usize> = if all { (0..theirs.len()).rev().collect() } else { Vec::new() };
        assert_eq!(ours.changed(), expected, "texts of {most_bytes} bytes");
    }
    // Nor where it has fewer than there are.
    let mut ours = holding(&newer, 60, 4_000);
    write_all(&mut ours);
    ours.absorb(&texts(&holding(&newer, 0, 100_000))).unwrap();
    assert_eq!(ours.changed(), Vec::<usize>::new());
}
