//! One question carried out: from an [`Ask`] to the evidence, as a task of its own.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{Answer, Patrol};
use crate::credential::{Password, TokenKind, Username};
use crate::plan::{Ask, Issuer, LoginId, Registry};
use crate::probe::{IssuerAnswer, Prober, SsoAnswer};

/// How many organisations are asked about SSO with one token in one exchange.
const MOST_ORGANISATIONS: usize = 3;

/// A question with its answer.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) ask: Ask,
    /// The registry that the exchange counts for, as it was asked.
    pub(super) registry: Arc<Registry>,
    pub(super) answer: Answer,
}

/// Everything a task needs, owned, so that the book may change while the exchange is in flight.
enum Exchange {
    Login {
        registry: Arc<Registry>,
        username: Username,
        password: Password,
    },
    Access {
        registry: Arc<Registry>,
        login: Option<(Username, Password)>,
        repository: Arc<str>,
        reference: Arc<str>,
    },
    Issuer {
        registry: Arc<Registry>,
        issuer: Issuer,
        password: Password,
        kind: TokenKind,
        want_owner: bool,
        /// Organisations whose packages are denied: whether they demand SSO explains it.
        denied_by: Vec<String>,
    },
    Canary {
        registry: Arc<Registry>,
    },
}

impl Exchange {
    fn registry(&self) -> &Arc<Registry> {
        match self {
            Self::Login { registry, .. }
            | Self::Access { registry, .. }
            | Self::Issuer { registry, .. }
            | Self::Canary { registry } => registry,
        }
    }

    async fn run(self, prober: &Prober) -> Answer {
        match self {
            Self::Login { registry, username, password } => {
                Answer::Login(prober.login(&registry, &username, &password).await)
            }
            Self::Access { registry, login, repository, reference } => {
                let login = login.as_ref().map(|(username, password)| (username, password));
                Answer::Access(prober.access(&registry, login, &repository, &reference).await)
            }
            Self::Issuer { registry, issuer, password, kind, want_owner, denied_by } => {
                let mut evidence = prober.issuer(&issuer, &registry, &password, kind, want_owner).await;
                if let IssuerAnswer::Alive(facts) = &mut evidence.answer
                    && facts.rate_limit.is_none_or(|limit| limit.remaining > 0)
                {
                    for organisation in &denied_by {
                        let answer = prober.sso(&issuer, &registry, &password, organisation).await.answer;
                        if answer == SsoAnswer::Demanded {
                            facts.sso_required = true;
                            facts.sso_demanded_by.push(organisation.clone());
                        }
                    }
                }
                Answer::Issuer(evidence)
            }
            Self::Canary { registry } => Answer::Canary(prober.canary(&registry).await),
        }
    }
}

impl Patrol {
    /// Start the exchange of a question; `false` when what it asks about is gone.
    pub(super) fn launch(&mut self, ask: Ask, tasks: &mut JoinSet<Finished>) -> bool {
        let Some(exchange) = self.exchange(&ask) else {
            return false;
        };
        let prober = Arc::clone(&self.prober);
        let registry = Arc::clone(exchange.registry());
        let busy = self.clock.busy();
        tasks.spawn(async move {
            let _busy = busy;
            let answer = exchange.run(&prober).await;
            Finished { ask, registry, answer }
        });
        true
    }

    /// The first components of repositories that are denied to a login: on GitHub's registries the organisations.
    fn denied_by(&self, login: LoginId) -> Vec<String> {
        let mut owners: Vec<String> = self
            .ledger
            .denied_repositories(login)
            .filter_map(|repository| repository.split_once('/'))
            .map(|(owner, _)| owner.to_owned())
            .collect();
        owners.sort_unstable();
        owners.dedup();
        owners.truncate(MOST_ORGANISATIONS);
        owners
    }

    fn exchange(&self, ask: &Ask) -> Option<Exchange> {
        Some(match ask {
            Ask::Login(id) => {
                let login = self.book.logins.get(id)?;
                Exchange::Login {
                    registry: Arc::clone(&login.registry),
                    username: login.username.clone(),
                    password: login.password.clone(),
                }
            }
            Ask::Access { host, login, repository, reference } => {
                let login = match login {
                    None => None,
                    Some(id) => {
                        let login = self.book.logins.get(id)?;
                        Some((login.username.clone(), login.password.clone()))
                    }
                };
                Exchange::Access {
                    registry: self.registries.find(host)?,
                    login,
                    repository: Arc::clone(repository),
                    reference: Arc::clone(reference),
                }
            }
            Ask::Issuer(key) => {
                let login = self.book.logins.get(self.tokens.get(key)?)?;
                Exchange::Issuer {
                    registry: Arc::clone(&login.registry),
                    issuer: key.issuer.clone(),
                    password: login.password.clone(),
                    kind: login.kind,
                    want_owner: self.ledger.token(key).facts.and_then(|facts| facts.owner).is_none(),
                    denied_by: if key.issuer.is_github() { self.denied_by(login.id) } else { Vec::new() },
                }
            }
            Ask::Canary(host) => Exchange::Canary { registry: self.registries.find(host)? },
        })
    }
}
