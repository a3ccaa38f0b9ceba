//! A day passes: what is shown of tokens that expire, of wall clocks that jump, of Secrets that change in flight.

use chrono::{DateTime, TimeDelta, Utc};
use pull_patrol::credential::FindingKind;
use pull_patrol::metrics::SnapshotEncoder;
use pull_patrol::outlook::{CredentialRow, Outlook, Snapshot, WorkloadRow};
use pull_patrol::verdict::Status;
use pull_patrol::workload::PodRole;
use simulator::{Host, LoggedRequest, TokenHandle, TokenSpec, Visibility, World};

use crate::days::driver::{Driver, apply, config_text};
use crate::support::manifests::{docker_config, pull_secret};

/// `probe.interval` and `probe.confirmationSpacing` as they are without a config.
const INTERVAL: TimeDelta = TimeDelta::minutes(10);
const SPACING: TimeDelta = TimeDelta::seconds(66);
/// Between an answer and the picture that shows it.
const SHOWN: TimeDelta = TimeDelta::milliseconds(200);

fn morning() -> DateTime<Utc> {
    "2026-06-01T06:00:00Z".parse().expect("a date")
}

/// A scale set that stands at zero, its runners' image private and its Secret in `template.spec`.
fn scale_set() -> String {
    "---\n{apiVersion: actions.github.com/v1alpha1, kind: AutoscalingRunnerSet, metadata: {name: set, namespace: ci}, \
     spec: {githubConfigUrl: 'https://github.com/acme', minRunners: 0, template: {spec: {imagePullSecrets: [{name: pull}], \
     containers: [{name: runner, image: 'ghcr.io/acme/gha-runners:latest'}]}}}}\n"
        .to_owned()
}

fn runner(snapshot: &Snapshot) -> &WorkloadRow {
    let of_role = |row: &&WorkloadRow| row.key.role == PodRole::Runner;
    snapshot.workloads.iter().find(of_role).expect("a scale set always has a row for its runners")
}

/// What `/metrics` says is the deadline of the runners.
fn deadline_series(snapshot: &Snapshot) -> Option<i64> {
    let mut text = String::new();
    SnapshotEncoder::encode(snapshot, &mut text);
    let series = "pullsecret_workload_deadline_timestamp_seconds{workload_namespace=\"ci\",\
                  workload_kind=\"AutoscalingRunnerSet\",workload_name=\"set\",pod_role=\"runner\"} ";
    let line = text.lines().find_map(|line| line.strip_prefix(series))?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
    Some(line.parse::<f64>().expect("a number") as i64)
}

fn refusals(world: &World) -> Vec<DateTime<Utc>> {
    let refused = world.requests_where(|request| request.asked(Host::Ghcr, "/token") && request.status == Some(403));
    refused.iter().map(|request| request.at).collect()
}

#[tokio::test]
async fn a_pat_expires_in_the_afternoon_and_its_scale_set_is_blocked_at_the_next_round() {
    let world = Driver::world(1, morning()).await;
    let expiry = morning() + TimeDelta::seconds(9 * 3600 + 17 * 60 + 23);
    world.add_package("acme/gha-runners", Visibility::private());
    let token = world.add_token(TokenSpec::classic("alice").reads("acme").expires_at(expiry));
    let secret = pull_secret("ci", "pull", &docker_config("ghcr.io", "alice", token.secret()));
    let config = config_text(&world, "", "");
    let mut driver = Driver::start(world, &config, &(scale_set() + &secret));

    // The first answers are there within the first second.
    driver.until(morning() + TimeDelta::seconds(1), |_, _| {}).await;
    let mut seen = 0;
    let mut check_ok = |now: DateTime<Utc>, snapshot: &Snapshot| {
        seen += 1;
        let (row, credential) = (runner(snapshot), &snapshot.credentials[0]);
        assert!(row.idle, "no runner is there to look at");
        assert_eq!((row.outlook, credential.status), (Outlook::Ok, Status::Valid), "at {now}: {}", row.reason);
        assert_eq!(deadline_series(snapshot), Some(expiry.timestamp()), "at {now}");
        assert_eq!(credential.expires_at, Some(expiry));
    };
    driver.until(expiry - TimeDelta::nanoseconds(1), &mut check_ok).await;
    assert!(refusals(&driver.world).is_empty());

    // The next round comes within one interval, and is the first to be refused. One refusal proves nothing: the login is
    // asked again after `confirmationSpacing` (and up to a tenth of it), and so is the issuer. Refused three times and
    // disowned three times, with no other token that could tell: that is the proof. Until then the last proven state stands.
    let mut shown = None;
    driver
        .until(expiry + INTERVAL + SPACING * 2 + SHOWN, |now, snapshot| {
            let (row, credential) = (runner(snapshot), &snapshot.credentials[0]);
            match shown {
                None if row.outlook == Outlook::Blocked => {
                    assert_eq!(credential.status, Status::Expired, "at {now}");
                    shown = Some(now);
                }
                None => assert_eq!((row.outlook, credential.status), (Outlook::Ok, Status::Valid), "at {now}"),
                Some(_) => assert_eq!((row.outlook, credential.status), (Outlook::Blocked, Status::Expired)),
            }
        })
        .await;
    let refused = refusals(&driver.world);
    let shown = shown.expect("blocked within an interval and two spacings");
    assert!(refused[0] >= expiry && refused[0] <= expiry + INTERVAL, "{refused:?}");
    for gap in [refused[1] - refused[0], refused[2] - refused[1]] {
        assert!(gap >= TimeDelta::seconds(60) && gap <= SPACING + TimeDelta::seconds(1), "{refused:?}");
    }
    assert!(shown >= refused[2] && shown <= refused[0] + SPACING * 2 + SHOWN, "shown at {shown}, {refused:?}");
    assert!(seen > 500, "every minute of the day was looked at: {seen}");
}

fn status(snapshot: &Snapshot, name: &str) -> Status {
    let named = |row: &&CredentialRow| &*row.secret_name == name;
    snapshot.credentials.iter().find(named).expect("a row").status
}

/// Token exchanges of an hour.
async fn an_hour(driver: &mut Driver, statuses: &[(&str, Status)]) -> usize {
    let asked = |request: &LoggedRequest| request.asked(Host::Ghcr, "/token") && request.status.is_some();
    driver.world.clear_requests();
    let end = driver.now() + TimeDelta::hours(1);
    driver
        .until(end, |now, snapshot| {
            for (name, wanted) in statuses {
                assert_eq!(status(snapshot, name), *wanted, "{name} at {now}, shown as {}", snapshot.generated_at);
            }
        })
        .await;
    driver.world.count(|request| asked(request))
}

#[tokio::test]
async fn a_wall_clock_that_jumps_neither_expires_nor_revives_anything() {
    let world = Driver::world(2, morning()).await;
    let soon = morning() + TimeDelta::minutes(90);
    let later = morning() + TimeDelta::days(60);
    let add = |owner: &str, expiry| world.add_token(TokenSpec::classic(owner).expires_at(expiry));
    let (good, revoked, ended) = (add("good", later), add("revoked", later), add("ended", soon));
    let secret =
        |name: &str, token: &TokenHandle| pull_secret("a", name, &docker_config("ghcr.io", name, token.secret()));
    let manifests = secret("good", &good) + &secret("revoked", &revoked) + &secret("ended", &ended);
    // Without a long pause for the dead, each hour shows what is asked of them.
    let config = config_text(&world, "", "probe: {rejectedInterval: 10m}\n");
    let mut driver = Driver::start(world, &config, &manifests);
    driver.until(morning() + TimeDelta::hours(1), |_, _| {}).await;
    revoked.revoke();
    driver.until(morning() + TimeDelta::hours(2), |_, _| {}).await;
    let settled = [("good", Status::Valid), ("revoked", Status::Rejected), ("ended", Status::Expired)];
    let usual = an_hour(&mut driver, &settled).await;
    assert!(usual >= 15, "{usual}");
    for days in [400, -800, 400] {
        driver.hands.jump_wall(TimeDelta::days(days));
        let asked = an_hour(&mut driver, &settled).await;
        assert!(asked.abs_diff(usual) <= 2, "{asked} exchanges after a jump of {days} days, {usual} before");
        let snapshot = driver.snapshot();
        let findings = &snapshot.credentials.iter().find(|row| &*row.secret_name == "good").expect("a row").findings;
        let soon = findings.iter().any(|finding| finding.kind == FindingKind::ExpiresSoon);
        // What is shown of the time left follows the wall clock, as do the alerts of Prometheus.
        assert_eq!(soon, driver.hands.wall() > later - TimeDelta::days(14));
        let skews = &snapshot.daemon.clock_skews;
        let skew = (driver.hands.wall() - driver.now()).as_seconds_f64();
        assert!(!skews.is_empty() && skews.iter().all(|(_, told)| (told - skew).abs() < 2.0), "{skews:?}, {skew}");
    }
}

#[tokio::test]
async fn a_secret_that_changes_while_its_exchange_is_in_flight() {
    let world = Driver::world(3, morning()).await;
    let tokens: Vec<TokenHandle> = ["alice", "bob"].map(|owner| world.add_token(TokenSpec::classic(owner))).to_vec();
    let (old, new) = (tokens[0].clone(), tokens[0].rotate());
    let secret = |token: &TokenHandle| pull_secret("a", "pull", &docker_config("ghcr.io", "alice", token.secret()));
    let control = pull_secret("a", "control", &docker_config("ghcr.io", "bob", tokens[1].secret()));
    let config = config_text(&world, "", "");
    let mut driver = Driver::start(world, &config, &(secret(&new) + &control));
    driver.until(morning() + TimeDelta::hours(1), |_, _| {}).await;
    assert_eq!(status(&driver.snapshot(), "pull"), Status::Valid);

    // To the dead token while the good one is asked: its yes speaks for nobody any more.
    let swap = |driver: &Driver, from: &TokenHandle, to: Option<&TokenHandle>| {
        let (shown, inventory) = (from.clone(), driver.inventory.clone());
        let manifests = to.map(secret).unwrap_or_default() + &control;
        driver.world.when(
            move |request| request.asked(Host::Ghcr, "/token") && request.shows(&shown),
            move || apply(&inventory, &manifests),
        );
    };
    let rows = |snapshot: &Snapshot| snapshot.credentials.len();
    swap(&driver, &new, Some(&old));
    let mut seen = Vec::new();
    driver
        .until(morning() + TimeDelta::hours(2), |_, snapshot| {
            let status = status(snapshot, "pull");
            if seen.last() != Some(&status) {
                seen.push(status);
            }
        })
        .await;
    assert_eq!(seen, [Status::Valid, Status::Unverified, Status::Rejected]);

    // Back to the good one while the dead one is asked, which is rare: its Secret is written again to have it asked.
    driver.apply(&control);
    driver.until(driver.now() + TimeDelta::minutes(5), |_, _| {}).await;
    swap(&driver, &old, Some(&new));
    driver.apply(&(secret(&old) + &control));
    driver.until(driver.now() + TimeDelta::seconds(1), |_, _| {}).await;
    assert_eq!(status(&driver.snapshot(), "pull"), Status::Valid);

    // And gone while it is asked: no row comes back.
    swap(&driver, &new, None);
    let mut fewest = usize::MAX;
    driver
        .until(driver.now() + TimeDelta::hours(1), |now, snapshot| {
            assert!(rows(snapshot) <= fewest, "a row came back at {now}");
            fewest = rows(snapshot);
        })
        .await;
    assert_eq!((fewest, status(&driver.snapshot(), "control")), (1, Status::Valid));
}
