//! One seeded day: Secrets, what happens to them, what goes wrong outside, and how all that was shown.

use chrono::{DateTime, TimeDelta, Utc};
use simulator::{RegistryKind, Visibility};

use super::actors::{Cast, Happening, PLAIN, TLS};
use super::dice::Dice;
use super::driver::{Driver, config_text};
use super::faults::{Faults, Switch};
use super::score::{Record, Score, score};

type Time = DateTime<Utc>;

/// The longest silence of a registry, in real time.
const TIMEOUT: &str = "250ms";

#[derive(Debug)]
enum Event {
    Happens(Happening, usize),
    Switch(Switch),
}

/// Let a day pass, and judge what was shown of it.
pub(crate) async fn day(seed: u64, length: TimeDelta) -> Score {
    let mut dice = Dice::new(seed);
    let began: Time = "2026-06-01T00:00:00Z".parse().expect("a date");
    let end = began + length;
    let world = Driver::world(seed, began).await;
    let plain = world.add_registry(RegistryKind::Bearer).await.expect("a free port");
    world.name(plain.host(), PLAIN);
    world.add_package("acme/public", Visibility::Public);
    plain.add_package("library/public", Visibility::Public);

    let mut cast = Cast::new(began);
    for _ in 0..5 + dice.below(4) {
        cast.add_github(&world, &mut dice, length);
    }
    for _ in 0..4 {
        cast.add_plain(&plain);
    }
    let mut faults = Faults::draw(&mut dice, &world, &cast, plain.host(), (began, end));
    // By dice of its own, so that older seeds draw what they drew.
    faults.draw_silence(&mut Dice::new(!seed), (began, end));
    let mut events = happenings(&mut dice, &cast, began, length);
    events.extend(faults.switches.iter().map(|(at, switch)| (*at, Event::Switch(switch.clone()))));
    events.sort_by_key(|(at, _)| *at);

    let canary = if dice.percent(40) { "    canary: acme/public\n" } else { "" };
    let other = format!(
        "{canary}  - host: {PLAIN}\n    issuer: none\n    endpoint: {}\n    plainHttp: true\n    \
         allowPrivateAddresses: true\n    requestsPerSecond: 10000\n    canary: library/public\n  - host: {TLS}\n    \
         issuer: none\n    endpoint: https://{}\n    allowPrivateAddresses: true\n",
        world.url(plain.host()),
        world.authority(plain.host()),
    );
    let config = config_text(&world, &other, &format!("probe: {{timeout: {TIMEOUT}}}\n"));
    let _deaf = faults.deaf(&world);
    let mut driver = Driver::start(world, &config, &cast.manifests());
    let mut record = Record::default();
    let mut dirty = faults.windows.clone();
    let mut story = faults.story.clone();
    for (at, event) in events {
        story.push((at, format!("{event:?}")));
        pass(&mut driver, at, &mut record, &faults, &mut dirty).await;
        match event {
            Event::Happens(what, actor) => cast.happens(what, actor, &driver.world, &driver.inventory),
            Event::Switch(switch) => switch.turn(&driver.world, &driver.names, &driver.hands, &cast),
        }
    }
    pass(&mut driver, end, &mut record, &faults, &mut dirty).await;
    let mut score = score(&record, &cast.facts, dirty, began, end);
    score.story.extend(story);
    score.story.sort();
    score
}

async fn pass(driver: &mut Driver, until: Time, record: &mut Record, faults: &Faults, dirty: &mut Vec<(Time, Time)>) {
    // The log holds an hour with ease.
    while driver.now() < until {
        let next = until.min(driver.now() + TimeDelta::hours(1));
        driver.until(next, |now, snapshot| record.see(now, snapshot)).await;
        dirty.extend(faults.dirt(&driver.world));
        driver.world.clear_requests();
    }
}

/// What happens to whom. Deaths keep their distance, so that they are none of an incident.
fn happenings(dice: &mut Dice, cast: &Cast, began: Time, length: TimeDelta) -> Vec<(Time, Event)> {
    let mut all = Vec::new();
    let mut at = began;
    loop {
        at += dice.span(TimeDelta::minutes(20), TimeDelta::minutes(150));
        if at >= began + length {
            return all;
        }
        let actor = dice.below(cast.len());
        let github = cast.is_github(actor);
        let undone = at + dice.span(TimeDelta::minutes(5), TimeDelta::hours(4));
        let (first, then) = match dice.below(if github { 11 } else { 5 }) {
            0 => (Happening::Revoked, None),
            1 | 2 if !github => (Happening::Deleted, Some(Happening::Back)),
            3 if !github => (Happening::DeletedInFlight, Some(Happening::Back)),
            _ if !github => continue,
            1 => (Happening::Rotated, None),
            2 => (Happening::RotatedInFlight, None),
            3 | 4 => (Happening::Scopes(false), Some(Happening::Scopes(true))),
            5 | 6 => (Happening::Access(false), Some(Happening::Access(true))),
            7 => (Happening::Sso(false), Some(Happening::Sso(true))),
            8 => (Happening::Public(true), Some(Happening::Public(false))),
            9 => (Happening::PackageDeleted, None),
            _ => (Happening::Deleted, Some(Happening::Back)),
        };
        all.push((at, Event::Happens(first, actor)));
        if let Some(then) = then.filter(|_| undone < began + length) {
            all.push((undone, Event::Happens(then, actor)));
        }
    }
}
