//! Pods that wait on a pull, seen one inventory after the other.

use super::*;
use crate::cluster::{Owner, PodPulls};

const IMAGE: &str = "ghcr.io/org/img:v1";
const BARE: &str = "Back-off pulling image \"ghcr.io/org/img:v1\"";
const REFUSED: &str = "failed to fetch oauth token: unexpected status: 403 Forbidden";

fn waiting(container: &str, reason: &str, message: &str) -> Waiting {
    Waiting { container: container.into(), reason: reason.into(), message: message.into() }
}

/// A pod of the `StatefulSet` `web` with two containers of one image, and an image volume.
fn pod(name: &str, image: &str, waiting: Vec<Waiting>) -> Pod {
    let part = |container: &str, kind, image: &str| PodImage { container: container.into(), kind, image: image.into() };
    Pod {
        at: ObjectRef::new("a", name),
        pulls: Arc::new(PodPulls {
            service_account: "default".into(),
            pull_secrets: vec!["s".into()],
            admitted_from_service_account: false,
            images: vec![
                part("main", ContainerKind::Regular, image),
                part("side", ContainerKind::Regular, image),
                part("data", ContainerKind::ImageVolume, "ghcr.io/org/data:v1"),
            ],
            owner: Some(Owner { api_version: "apps/v1".into(), kind: "StatefulSet".into(), name: "web".into() }),
        }),
        waiting,
    }
}

fn sync(waits: &mut Waits, pods: Vec<Pod>) -> Vec<(PullFailure, usize)> {
    let pods = pods.into_iter().map(|pod| (pod.at.clone(), Arc::new(pod))).collect();
    waits.sync(&Inventory { pods, ..Inventory::default() }, DateTime::UNIX_EPOCH);
    assert!(waits.failing().keys().all(|key| (&*key.kind, &*key.name) == ("StatefulSet", "web")));
    waits.failing().values().flat_map(|failing| failing.pods.clone()).collect()
}

#[test]
fn a_pod_counts_once_per_reason() {
    let refused = || vec![waiting("main", "ErrImagePull", REFUSED), waiting("side", "ErrImagePull", REFUSED)];
    let two = vec![waiting("main", "ErrImagePull", REFUSED), waiting("side", "RegistryUnavailable", "")];
    let crashes = vec![waiting("main", "CrashLoopBackOff", "")];
    let pods = vec![
        pod("web-0", IMAGE, refused()),
        pod("web-1", IMAGE, two),
        pod("web-2", IMAGE, crashes),
        pod("web-3", IMAGE, vec![]),
    ];
    let mut waits = Waits::default();
    assert_eq!(sync(&mut waits, pods), [(PullFailure::CredentialRefused, 2), (PullFailure::Network, 1)]);
    let pull = FailingPull { image: IMAGE.into(), secrets: vec!["s".into()], failure: PullFailure::CredentialRefused };
    assert_eq!(waits.failing().values().next().and_then(|failing| failing.pulls.get(&pull)), Some(&2));
}

#[test]
fn a_back_off_without_a_cause_keeps_the_last_one_of_its_container() {
    let mut waits = Waits::default();
    let refused = || vec![waiting("main", "ErrImagePull", REFUSED)];
    let bare = |container| vec![waiting(container, "ImagePullBackOff", BARE)];
    let kept = [(PullFailure::CredentialRefused, 1)];
    assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]), [(PullFailure::Other, 1)], "not told yet");
    assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, refused())]), kept);
    assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]), kept);
    assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]), kept, "and goes on keeping it");
    let newer = vec![waiting("main", "ImagePullBackOff", &format!("{BARE}: ErrImagePull: x: not found"))];
    assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, newer)]), [(PullFailure::NotFound, 1)], "a newer cause");
    assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("main"))]), [(PullFailure::NotFound, 1)]);
    // Another container, another image, another pod: nothing is known of them.
    assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare("side"))]), [(PullFailure::Other, 1)]);
    sync(&mut waits, vec![pod("web-0", IMAGE, refused())]);
    assert_eq!(sync(&mut waits, vec![pod("web-0", "ghcr.io/org/img:v2", bare("main"))]), [(PullFailure::Other, 1)]);
    sync(&mut waits, vec![pod("web-0", IMAGE, refused())]);
    assert_eq!(sync(&mut waits, vec![pod("web-1", IMAGE, bare("main"))]), [(PullFailure::Other, 1)]);
}

#[test]
fn what_waits_no_more_is_forgotten() {
    let refused = || vec![waiting("main", "ErrImagePull", REFUSED)];
    let bare = || vec![waiting("main", "ImagePullBackOff", BARE)];
    for between in [
        vec![],
        vec![pod("web-0", IMAGE, vec![])],
        vec![pod("web-0", IMAGE, vec![waiting("main", "ContainerCreating", "")])],
    ] {
        let mut waits = Waits::default();
        sync(&mut waits, vec![pod("web-0", IMAGE, refused())]);
        assert!(sync(&mut waits, between).is_empty());
        assert!(waits.known.is_empty(), "nothing is kept of pods that are gone");
        assert_eq!(sync(&mut waits, vec![pod("web-0", IMAGE, bare())]), [(PullFailure::Other, 1)]);
    }
}

#[test]
fn a_message_that_names_the_image_of_a_volume_is_about_the_volume() {
    let mut waits = Waits::default();
    let message = format!("failed to pull and unpack image \"ghcr.io/org/data:v1\": {REFUSED}");
    sync(&mut waits, vec![pod("web-0", IMAGE, vec![waiting("main", "ErrImagePull", &message)])]);
    let images: Vec<_> = waits.failing().values().flat_map(|failing| failing.pulls.keys()).collect();
    assert_eq!(images.iter().map(|pull| &*pull.image).collect::<Vec<_>>(), ["ghcr.io/org/data:v1"]);
}
