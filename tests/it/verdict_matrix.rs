//! A fixed sample of the pure fault matrix, and every world that ever showed something false. All of it, thousands of
//! worlds, is `cargo run --release --example verdict_matrix`.

#[path = "../evidence/mod.rs"]
mod evidence;

use evidence::Family;

/// Worlds that failed once, with what they showed.
const FAILED_ONCE: &[(Family, u64)] = &[
    // A denial that was carried over while its questions were hindered.
    (Family::Noise, 105),
    (Family::Noise, 1357),
    (Family::LoginBursts, 776),
    (Family::FromTheStart, 1038),
    (Family::Everything, 71),
    // An incident that nobody could end while the host wanted to be left alone.
    (Family::RegistryRefuses, 51),
    (Family::RegistryRefuses, 212),
    // Refused and disowned at the same time, with less than three tokens alive.
    (Family::BothAtOnce, 236),
    (Family::NoIssuerIncident, 679),
    // A scope that lacks and that nothing could show.
    (Family::NoIssuer, 40),
    (Family::NoIssuerIncident, 31),
    (Family::NoIssuerIncident, 273),
    // Requests after an incident.
    (Family::ManyLogins, 267),
    (Family::Everything, 1430),
    // What a host had held up, taken for a crowd.
    (Family::RegistryRefuses, 4619),
    (Family::RegistryDenies, 4717),
    (Family::BothAtOnce, 4296),
    (Family::BothAtOnce, 6652),
    (Family::BothAtOnce, 9938),
    (Family::BothAtOnce, 6181),
    (Family::RegistryRefuses, 21_051),
    (Family::RegistryDenies, 20_814),
    (Family::RegistryDenies, 23_326),
    (Family::BothAtOnce, 29_222),
    // Questions of an incident of the issuer, taken for a burst after one of the registry.
    (Family::Everything, 7553),
    // A denial of everyone that one refused login kept from being explained.
    (Family::OrganisationCloses, 24_798),
    // Denials that had backed off before the issuer told why.
    (Family::OrganisationCloses, 279),
    (Family::OrganisationCloses, 1298),
    (Family::OrganisationCloses, 7868),
    // A control that nobody could hear, since its owner was locked out.
    (Family::LockOut, 1708),
    (Family::LockOut, 2675),
    (Family::LockOut, 2992),
    // An incident that a lock-out explained.
    (Family::LockOut, 3471),
    (Family::LockOut, 5213),
    (Family::LockOut, 6665),
    (Family::LockOut, 6814),
    (Family::LockOut, 6844),
    (Family::LockOut, 7832),
    (Family::LockOut, 9363),
    // Refusals that an incident explained, and the issuer erred about one token at the same time.
    (Family::Everything, 4067),
    (Family::Everything, 4330),
    (Family::Everything, 5410),
    (Family::Everything, 6879),
    // A denial that a missing scope explained, which had come back.
    (Family::Everything, 5708),
    // Of scopes the issuer alone tells, at its own interval.
    (Family::Outages, 6569),
    (Family::Outages, 16_016),
    (Family::Outages, 35_092),
    (Family::Outages, 16_111),
    // A denial by mistake right before those that the issuer could explain.
    (Family::OrganisationCloses, 7332),
    // Two logins refused by an outage, and one of them once more by mistake when it was over.
    (Family::RegistryRefuses, 14_010),
    (Family::LoginsUntold, 2360),
    // Revoked while it was refused by mistake: the issuer, asked just before, was not asked again.
    (Family::LoginBursts, 19_695),
    (Family::OpenAtRoot, 17_784),
    // What confirms a refusal where the login's own exchange proves nothing.
    (Family::LoginsUntold, 8),
    (Family::OpenAtRoot, 6),
    (Family::OpenAtRoot, 10),
    (Family::OpenAtRoot, 12),
];

fn holds(families: &std::collections::BTreeMap<Family, evidence::Tally>) {
    assert_eq!(evidence::failures(families), 0, "\n{}", evidence::render(families));
}

#[test]
fn a_sample_of_worlds_shows_nothing_false() {
    for family in Family::ALL.into_iter().filter(|family| family.is_judged()) {
        holds(&evidence::runs_of(family, 1..3));
    }
}

#[test]
fn what_failed_once_holds() {
    for (family, seed) in FAILED_ONCE {
        holds(&evidence::runs_of(*family, [*seed].into_iter()));
    }
}

#[test]
fn the_seeds_draw_every_family() {
    let drawn: std::collections::BTreeSet<Family> = (1..2_000).map(Family::of).collect();
    assert_eq!(drawn.len(), Family::ALL.len());
}
