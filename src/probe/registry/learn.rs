//! How a registry asks for a login: `GET /v2/` without credentials (OCI distribution specification, "Determining
//! Support"), once in a while for all its logins.

use url::Url;

use super::v2;
use crate::probe::client::{Ask, Stop};
use crate::probe::evidence::{Guarded, Unproven};
use crate::probe::exchange::{Exchange, Seen};
use crate::probe::host_state::{Asks, FRESH, STALE};
use crate::probe::text::DETAIL;
use crate::probe::wire::challenge::challenges;

/// How the registry asks, from memory or by asking it.
pub(super) async fn learn(exchange: &mut Exchange<'_>) -> Result<Asks, Unproven> {
    let clock = &exchange.prober.clock;
    let since = clock.moment();
    let state = std::sync::Arc::clone(&exchange.state);
    let mut learned = state.learned.lock().await;
    if let Some((at, asks)) = learned.known.as_ref().filter(|(at, _)| since.since(*at) < FRESH) {
        tracing::trace!(age = ?since.since(*at), "challenge remembered");
        return Ok(asks.clone());
    }
    // Who waited here while another one asked in vain takes that answer: all the others asking in turn would hold
    // every exchange of the registry up for a time-out each.
    if let Some((ended, answer, last)) = learned.miss.as_ref().filter(|(ended, ..)| *ended >= since) {
        tracing::trace!(age = ?clock.moment().since(*ended), "failed attempt shared");
        exchange.last = last.clone();
        exchange.last.detail = exchange.redactor.show(&last.detail, DETAIL);
        return answer.clone();
    }
    let answer = match exchange.send(Ask::get(v2(exchange.registry, &[]), None)).await {
        Ok(seen) => read(exchange, &seen),
        Err(why) => Err(why),
    };
    let now = exchange.prober.clock.moment();
    match &answer {
        Ok(asks @ (Asks::Bearer { .. } | Asks::Basic)) => {
            learned.known = Some((now, asks.clone()));
            learned.miss = None;
        }
        Ok(Asks::Nothing) => {
            learned.known = None;
            learned.miss = Some((now, answer.clone(), exchange.last.clone()));
        }
        Err(_) => {
            if let Some((_, asks)) = learned.known.as_ref().filter(|(at, _)| now.since(*at) < STALE) {
                return Ok(asks.clone());
            }
            learned.miss = Some((now, answer.clone(), exchange.last.clone()));
        }
    }
    answer
}

/// Forget what was learned: the registry asks in another way now.
pub(super) async fn forget(exchange: &Exchange<'_>) {
    exchange.state.learned.lock().await.known = None;
}

fn read(exchange: &mut Exchange<'_>, seen: &Seen) -> Result<Asks, Unproven> {
    if let Some(why) = seen.unproven() {
        return Err(why);
    }
    match seen.status() {
        200..=299 => Ok(Asks::Nothing),
        401 => challenge(exchange, seen),
        _ => Err(Unproven::Odd("unexpected_status")),
    }
}

/// The challenge of a 401: Bearer before Basic, as every client has it.
pub(super) fn challenge(exchange: &mut Exchange<'_>, seen: &Seen) -> Result<Asks, Unproven> {
    let found = challenges(&seen.reply.headers);
    let bearer = found.iter().find(|c| c.scheme == "bearer" && c.param("realm").is_some());
    if let Some(bearer) = bearer {
        let realm = bearer.param("realm").unwrap_or_default();
        let Ok(mut realm) = Url::parse(realm) else {
            let stop = Guarded::ForeignRealm("a token service that is not a URL".to_owned());
            return Err(exchange.stop(Stop::from(stop)));
        };
        realm.set_fragment(None);
        return Ok(Asks::Bearer { realm, service: bearer.param("service").map(str::to_owned) });
    }
    if found.iter().any(|c| c.scheme == "basic") {
        return Ok(Asks::Basic);
    }
    exchange.explain("a 401 that does not say how to log in");
    Err(Unproven::Odd("no_challenge"))
}
