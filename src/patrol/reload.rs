//! Orders that come while the patrol goes on: another config, without forgetting anything.

use tokio::sync::{mpsc, oneshot};

use super::Patrol;
use crate::config::Config;
use crate::plan::{Ask, LoginId, Registries, Registry, Wanted};
use crate::verdict::Rules;

/// A config that is in force from now on. What cannot change while running must be as it was.
#[derive(Debug)]
pub struct Orders {
    /// The rules.
    pub config: Config,
    /// Who may be contacted.
    pub registries: Registries,
    /// Told once it is in force.
    pub obeyed: oneshot::Sender<()>,
}

/// The next orders; never, where nobody gives any.
pub(super) async fn next_orders(orders: &mut Option<mpsc::Receiver<Orders>>) -> Option<Orders> {
    match orders {
        Some(orders) => orders.recv().await,
        None => std::future::pending().await,
    }
}

impl Patrol {
    /// Take orders while running.
    #[must_use]
    pub fn obeying(mut self, orders: mpsc::Receiver<Orders>) -> Self {
        self.orders = Some(orders);
        self
    }

    /// Go by another config from now on: verdicts, due times, budgets and holds stay. Exchanges in flight end as they began.
    pub(super) fn obey(&mut self, orders: Orders) {
        let Orders { config, registries, obeyed } = orders;
        let registries = registries.shared_by(self.book.shard().count());
        let now = self.clock.moment();
        self.ledger.go_by(Rules::new(&config));
        self.schedule.retime(&config.probe, &config.issuer, now);
        self.prober.retune(config.probe.timeout);
        let asked_otherwise = self.book.go_by(registries.clone());
        self.meet_registries();
        // One that is proven dead is not asked again for another reason than its own Secret, or that it was proven where
        // nobody asks any more.
        let anew = |login: &LoginId| self.ledger.login(*login).accepted != Some(false);
        let anew: Vec<LoginId> = asked_otherwise.into_iter().filter(anew).collect();
        self.schedule.hurry_all(&anew, now);
        self.hosts = registries.listed_hosts().into_iter().map(std::sync::Arc::from).collect();
        for host in registries.listed_hosts() {
            self.metrics.add_registry(host);
        }
        (self.config, self.registries) = (config, registries);
        // Whoever gave them may have gone.
        let _ = obeyed.send(());
    }

    /// Have the ledger forget what registries showed that are asked in another way now.
    pub(super) fn meet_registries(&mut self) {
        let book = &self.book;
        let moved = self.ledger.meet(|host| book.registry(host));
        self.moved.extend(moved);
    }

    /// Ask at once what was forgotten of registries.
    pub(super) fn ask_moved(&mut self, wanted: &[Wanted]) {
        if self.moved.is_empty() {
            return;
        }
        let now = self.clock.moment();
        let mut logins = Vec::new();
        for Wanted { ask, .. } in wanted.iter().filter(|wanted| self.moved.contains(&wanted.host)) {
            match ask {
                Ask::Login(login) if self.ledger.login(*login).accepted.is_none() => logins.push(*login),
                Ask::Canary(_) | Ask::Access { login: None, .. } => self.schedule.hasten(ask, now),
                Ask::Login(_) | Ask::Access { .. } | Ask::Issuer(_) => {}
            }
        }
        self.schedule.hurry_all(&logins, now);
        self.moved.clear();
    }

    /// Whether a question that was asked at a registry as it was is asked in another way now.
    pub(super) fn is_asked_otherwise_now(&self, ask: &Ask, before: &Registry) -> bool {
        let Some(now) = self.book.registry(&before.host) else { return false };
        match ask {
            Ask::Canary(_) => before.canary != now.canary || before.is_asked_otherwise(&now),
            // The question names the issuer, and one that nobody asks any more is wanted no more.
            Ask::Issuer(_) => false,
            Ask::Login(_) | Ask::Access { .. } => before.is_asked_otherwise(&now),
        }
    }
}
