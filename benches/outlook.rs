//! The way of one change through the daemon, and its parts: `cargo bench --bench outlook`.
//!
//! `one_changed_secret` is the whole of what the patrol computes between a changed object and the next snapshot: 20,000
//! pull Secrets with 1,000 logins, 20,000 Pods of 400 owners, 300 scale sets.

mod world;

use std::sync::Arc;

use divan::{Bencher, black_box};
use pull_patrol::credential::{Keyring, decode, parse_image, registry_key};
use pull_patrol::metrics::{BuildInfo, DaemonMetrics, Exposition, SnapshotEncoder};
use pull_patrol::plan::{Book, Registries, wanted};
use pull_patrol::workload::{needed_images, workloads};

use self::world::Size;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

fn main() {
    divan::main();
}

/// A Secret that a scale set's runners present gets another login; then it gets its own back.
#[divan::bench(args = [1_000, 20_000], sample_count = 30)]
fn one_changed_secret(bencher: Bencher<'_, '_>, secrets: usize) {
    let size = Size::of(secrets);
    let (mut patrol, inventory) = world::patrol(size);
    let mut before = patrol.snapshot();
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        let changed = world::secret(3, 3 + turn % 2, size);
        inventory.update(|inventory| inventory.secrets.insert(changed.at.clone(), changed).is_some());
        patrol.sync();
        // As in the daemon, the former snapshot lives until the next one is there.
        before = patrol.snapshot();
        before.credentials.len()
    });
}

/// A Pod comes or goes.
#[divan::bench(args = [20_000], sample_count = 30)]
fn one_changed_pod(bencher: Bencher<'_, '_>, secrets: usize) {
    let (mut patrol, inventory) = world::patrol(Size::of(secrets));
    let (at, pod) = inventory.read(|inventory| {
        let (at, pod) = inventory.pods.first_key_value().expect("a pod");
        (at.clone(), pod.clone())
    });
    let mut before = patrol.snapshot();
    bencher.bench_local(|| {
        inventory.update(|inventory| {
            if inventory.pods.remove(&at).is_none() {
                inventory.pods.insert(at.clone(), pod.clone());
            }
            true
        });
        patrol.sync();
        before = patrol.snapshot();
        before.workloads.len()
    });
}

/// The outlook: nothing but an answer came in.
#[divan::bench(args = [1_000, 10_000, 20_000, 100_000], sample_count = 10)]
fn snapshot(bencher: Bencher<'_, '_>, secrets: usize) {
    let (patrol, _inventory) = world::patrol(Size::of(secrets));
    let mut before = patrol.snapshot();
    bencher.bench_local(|| {
        before = patrol.snapshot();
        before.credentials.len()
    });
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn rolled_up(bencher: Bencher<'_, '_>, pods: usize) {
    let inventory = world::inventory(Size { secrets: pods / 10, ..Size::of(pods) });
    bencher.bench_local(|| workloads(black_box(&inventory)).len());
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn decoded(bencher: Bencher<'_, '_>, secrets: usize) {
    let documents: Vec<String> = (0..secrets).map(world::document).collect();
    bencher.bench_local(|| {
        for document in &documents {
            black_box(decode("kubernetes.io/dockerconfigjson", Some(document.as_bytes()), None));
        }
    });
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn looked_up(bencher: Bencher<'_, '_>, lookups: usize) {
    let mut ring = Keyring::default();
    for (nth, key) in ["ghcr.io", "ghcr.io/org", "*.example.com", "registry.example.com:5000"].into_iter().enumerate() {
        ring.add(registry_key(key).expect("a key"), nth);
    }
    let image = parse_image("ghcr.io/org/app:v1").expect("an image");
    bencher.bench_local(|| {
        for _ in 0..lookups {
            black_box(ring.lookup(black_box(&image.repository)));
        }
    });
}

/// A book of all Secrets is made.
#[divan::bench(args = SIZES, sample_count = 10)]
fn synced(bencher: Bencher<'_, '_>, secrets: usize) {
    let inventory = world::inventory(Size { pods: secrets / 10, ..Size::of(secrets) });
    let needed = needed_images(&workloads(&inventory));
    bencher.bench_local(|| {
        let mut book = Book::new(world::identifier(), Registries::new(&[]).expect("the built-in registries"));
        book.sync(black_box(&inventory), &needed)
    });
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn planned(bencher: Bencher<'_, '_>, secrets: usize) {
    let inventory = world::inventory(Size { pods: secrets / 10, ..Size::of(secrets) });
    let workloads = workloads(&inventory);
    let mut book = Book::new(world::identifier(), Registries::new(&[]).expect("the built-in registries"));
    book.sync(&inventory, &needed_images(&workloads));
    bencher.bench_local(|| wanted(black_box(&book), &workloads, true).len());
}

/// The first scrape of a snapshot, compressed.
#[divan::bench(args = [10_000, 20_000], sample_count = 30)]
fn scraped(bencher: Bencher<'_, '_>, secrets: usize) {
    let (patrol, _inventory) = world::patrol(Size::of(secrets));
    let exposition = Exposition::new(Arc::new(DaemonMetrics::new(BuildInfo::compiled()).expect("counters")));
    let snapshots = [Arc::new(patrol.snapshot()), Arc::new(patrol.snapshot())];
    let mut turn = 0;
    bencher.bench_local(|| {
        turn += 1;
        exposition.gzip(&snapshots[turn % 2]).expect("a body").parts[0].len()
    });
}

#[divan::bench(args = SIZES, sample_count = 10)]
fn encoded(bencher: Bencher<'_, '_>, secrets: usize) {
    let (patrol, _inventory) = world::patrol(Size { pods: secrets / 10, ..Size::of(secrets) });
    let snapshot = patrol.snapshot();
    let mut text = String::new();
    bencher.bench_local(|| {
        text.clear();
        SnapshotEncoder::encode(&snapshot, &mut text);
        text.len()
    });
}
