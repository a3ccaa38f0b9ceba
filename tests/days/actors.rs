//! The Secrets of a scenario, and what happens to their tokens.

use chrono::{DateTime, TimeDelta, Utc};
use pull_patrol::cluster::SharedInventory;
use pull_patrol::plan::Identifier;
use simulator::{Host, OrgPolicy, PackageHandle, RegistryHandle, TokenHandle, TokenSpec, Visibility, World};

use super::dice::Dice;
use super::driver;
use super::manifests::{docker_config, pod, pull_secret};
use super::truth::{Fact, Powers};

type Time = DateTime<Utc>;

/// Host of the registry without an issuer.
pub(crate) const PLAIN: &str = "plain.test";
/// A registry that nobody can make a TLS handshake with, and the Secret for it.
pub(crate) const TLS: &str = "tls.test";

/// One Secret.
struct Actor {
    name: String,
    /// The organisation of its package, its own so that nobody else loses what it loses.
    org: String,
    owner: String,
    registry: &'static str,
    needed: bool,
    /// What it holds now; the place of its fact.
    token: TokenHandle,
    fact: usize,
    package: Option<PackageHandle>,
    rights: Rights,
    /// Whether the Secret exists.
    there: bool,
}

/// What decides whether a token may pull the package of its workload.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and all combinations occur")]
struct Rights {
    reads: bool,
    demands_sso: bool,
    authorised: bool,
    /// Public or deleted: nobody is refused.
    open: bool,
}

impl Rights {
    fn granted(self) -> bool {
        self.open || (self.reads && (self.authorised || !self.demands_sso))
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// Its token is revoked.
    Revoked,
    /// Its token is revoked, and the Secret gets a new one at once.
    Rotated,
    /// The Secret gets a new token while the old one is being asked, which dies.
    RotatedInFlight,
    /// The token loses its scopes, or has them back.
    Scopes(bool),
    /// The token loses what it may read, or has it back.
    Access(bool),
    /// Its SSO authorisation lapses, or is given again.
    Sso(bool),
    /// Its package becomes public, or private.
    Public(bool),
    /// Its package is deleted: nothing is refused any more, there is nothing to pull.
    PackageDeleted,
    /// The Secret goes.
    Deleted,
    /// The Secret goes while its token is being asked.
    DeletedInFlight,
    /// The Secret comes back as it was.
    Back,
}

/// All of them.
pub(crate) struct Cast {
    actors: Vec<Actor>,
    pub(crate) facts: Vec<Fact>,
    identifier: Identifier,
    began: Time,
}

impl Cast {
    pub(crate) fn new(began: Time) -> Self {
        Self { actors: Vec::new(), facts: Vec::new(), identifier: Identifier::new(&driver::KEY), began }
    }

    pub(crate) fn len(&self) -> usize {
        self.actors.len()
    }

    /// The token that a Secret holds.
    pub(crate) fn token(&self, actor: usize) -> &TokenHandle {
        &self.actors[actor].token
    }

    pub(crate) fn owner(&self, actor: usize) -> &str {
        &self.actors[actor].owner
    }

    pub(crate) fn is_github(&self, actor: usize) -> bool {
        self.actors[actor].registry == "ghcr.io"
    }

    /// Whether its token lives at a time, as far as is known.
    pub(crate) fn lives(&self, actor: usize, at: Time) -> bool {
        !self.facts[self.actors[actor].fact].dead(at)
    }

    /// A Secret with a token of github.com, most of them good, some of them not from the start.
    pub(crate) fn add_github(&mut self, world: &World, dice: &mut Dice, days: TimeDelta) {
        let n = self.actors.len();
        let (name, org, owner) = (format!("s{n}"), format!("org-{n}"), format!("owner-{n}"));
        let needed = dice.percent(70);
        let package = needed.then(|| world.add_package(&format!("{org}/app"), Visibility::private()));
        let mut rights = Rights { reads: true, demands_sso: dice.percent(30), authorised: true, open: false };
        world.set_org(&org, OrgPolicy { sso_required: rights.demands_sso, ..OrgPolicy::default() });
        let mut spec = TokenSpec::classic(&owner).reads(&org).sso_authorized(&org);
        let expires = dice.percent(50).then(|| {
            let soon = dice.percent(50);
            self.began + if soon { dice.span(TimeDelta::hours(1), days) } else { TimeDelta::days(40) }
        });
        spec.expires_at = expires;
        let mut powers = Powers { scopes: true, access: true };
        match dice.below(12) {
            0 => {
                spec = spec.scopes(["repo"]);
                powers.scopes = false;
            }
            1 => {
                spec.reads.clear();
                rights.reads = false;
                powers.access = false;
            }
            _ => {}
        }
        let token = world.add_token(spec);
        let dead = dice.percent(10);
        if dead {
            token.revoke();
        }
        let fact = self.fact(&name, &token, needed, true, expires, powers);
        if dead {
            self.facts[fact].revoked = Some(self.began - TimeDelta::days(1));
        }
        let registry = "ghcr.io";
        self.actors.push(Actor { name, org, owner, registry, needed, token, fact, package, rights, there: true });
    }

    /// A Secret with a login of the registry without an issuer.
    pub(crate) fn add_plain(&mut self, registry: &RegistryHandle) {
        let n = self.actors.len();
        let (name, owner) = (format!("s{n}"), format!("robot-{n}"));
        let token = registry.add_login(&owner, &format!("password-{n}"));
        let fact = self.fact(&name, &token, false, false, None, Powers { scopes: true, access: true });
        let rights = Rights { reads: true, demands_sso: false, authorised: true, open: true };
        let (org, package, registry, needed) = (String::new(), None, PLAIN, false);
        self.actors.push(Actor { name, org, owner, registry, needed, token, fact, package, rights, there: true });
    }

    fn fact(
        &mut self,
        secret: &str,
        token: &TokenHandle,
        needed: bool,
        github: bool,
        expires: Option<Time>,
        powers: Powers,
    ) -> usize {
        let token_id = self.identifier.token(token.secret().as_bytes()).to_string();
        let powers = vec![(self.began, powers)];
        self.facts.push(Fact { secret: secret.to_owned(), token_id, needed, github, revoked: None, expires, powers });
        self.facts.len() - 1
    }

    /// The objects as they are now.
    pub(crate) fn manifests(&self) -> String {
        let there = self.actors.iter().filter(|actor| actor.there);
        let secret = |actor: &Actor| {
            pull_secret("a", &actor.name, &docker_config(actor.registry, &actor.owner, actor.token.secret()))
        };
        let pods = self.actors.iter().filter(|actor| actor.needed);
        let pod = |actor: &Actor| pod("a", &actor.name, &format!("ghcr.io/{}/app:latest", actor.org), &[&actor.name]);
        let tls = pull_secret("a", TLS, &docker_config(TLS, "robot", "password"));
        there.map(secret).chain(pods.map(pod)).chain([tls]).collect()
    }

    /// Let something happen to a Secret or its token.
    pub(crate) fn happens(&mut self, what: Happening, actor: usize, world: &World, inventory: &SharedInventory) {
        let now = world.now();
        let old = self.actors[actor].token.clone();
        match what {
            Happening::Revoked => self.revoke(actor, now),
            Happening::Rotated | Happening::RotatedInFlight => {
                self.revoke(actor, now);
                let spec = self.facts[self.actors[actor].fact].clone();
                let (_, powers) = *spec.powers.last().expect("powers from the beginning");
                // The handle revokes the old one once more, and gives the new one what the old one has.
                let fresh = old.rotate();
                let fact = self.fact(&spec.secret, &fresh, spec.needed, spec.github, spec.expires, powers);
                let this = &mut self.actors[actor];
                (this.token, this.fact, this.there) = (fresh, fact, true);
                self.show(what == Happening::RotatedInFlight, &old, world, inventory);
            }
            Happening::Scopes(has) => {
                old.set_scopes(Some(if has { &["read:packages"] } else { &["gist"] }));
                self.powers(actor, now, |powers| powers.scopes = has);
            }
            Happening::Access(has) => {
                let org = self.actors[actor].org.clone();
                let reads: &[&str] = if has { &[org.as_str()] } else { &[] };
                old.set_reads(reads);
                self.rights(actor, now, |rights| rights.reads = has);
            }
            Happening::Sso(has) => {
                old.set_sso_authorized(&self.actors[actor].org, has);
                self.rights(actor, now, |rights| rights.authorised = has);
            }
            Happening::Public(public) => {
                if let Some(package) = &self.actors[actor].package {
                    package.set_visibility(if public { Visibility::Public } else { Visibility::private() });
                    self.rights(actor, now, |rights| rights.open = public);
                }
            }
            Happening::PackageDeleted => {
                if let Some(package) = self.actors[actor].package.take() {
                    package.remove();
                    self.rights(actor, now, |rights| rights.open = true);
                }
            }
            Happening::Deleted | Happening::DeletedInFlight => {
                self.actors[actor].there = false;
                self.show(what == Happening::DeletedInFlight, &old, world, inventory);
            }
            Happening::Back => {
                self.actors[actor].there = true;
                self.show(false, &old, world, inventory);
            }
        }
    }

    fn revoke(&mut self, actor: usize, now: Time) {
        let actor = &self.actors[actor];
        actor.token.revoke();
        self.facts[actor.fact].revoked.get_or_insert(now);
    }

    fn powers(&mut self, actor: usize, now: Time, change: impl FnOnce(&mut Powers)) {
        let powers = &mut self.facts[self.actors[actor].fact].powers;
        let (_, mut fresh) = *powers.last().expect("powers from the beginning");
        change(&mut fresh);
        powers.push((now, fresh));
    }

    fn rights(&mut self, actor: usize, now: Time, change: impl FnOnce(&mut Rights)) {
        let rights = &mut self.actors[actor].rights;
        change(rights);
        let granted = rights.granted();
        self.powers(actor, now, |powers| powers.access = granted);
    }

    /// The objects become what they are now: at once, or when the token is asked next.
    fn show(&self, in_flight: bool, token: &TokenHandle, world: &World, inventory: &SharedInventory) {
        let manifests = self.manifests();
        if !in_flight {
            driver::apply(inventory, &manifests);
            return;
        }
        let (inventory, token) = (inventory.clone(), token.clone());
        world.when(
            move |request| request.shows(&token) && request.host != Host::GithubApi,
            move || driver::apply(&inventory, &manifests),
        );
    }
}
